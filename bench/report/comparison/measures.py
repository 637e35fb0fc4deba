"""What is compared: which numbers of two records, on which scale, and on what condition."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.comparison.margins import margins
from bench.report.names import metric_name, metric_scale
from impls.kinds import skip_cells


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One compared number of a record.

    Attributes:
        name: the record's field.
        words: what people call it.
        ratio: whether it is compared as right / left, and averaged in logarithms; right − left otherwise.
        margin: within which it counts as equivalent, on the averaged scale; NaN where nothing is tested.
        cost: whether it depends on what else the machine did, so that only like conditions compare.
    """

    name: str
    words: str
    ratio: bool
    margin: float = float("nan")
    cost: bool = False

    @property
    def column(self) -> str:
        """The column of a table of pairs."""
        return f"{self.name}_{'ratio' if self.ratio else 'difference'}"


# Not `compile_seconds`: compiled programs are kept on disk, so that it tells which of two trials came first.
COSTS = (
    Measure(name="step_milliseconds", words="training step", ratio=True, cost=True),
    Measure(name="reported_step_milliseconds", words="step as reported", ratio=True, cost=True),
    Measure(name="inference_milliseconds", words="inference", ratio=True, cost=True),
    Measure(name="inference_milliseconds_batch_1", words="batch 1", ratio=True, cost=True),
    Measure(name="peak_memory_bytes", words="memory", ratio=True, cost=True),
)


def measures_of(*, metric: str, cell: str) -> tuple[Measure, ...]:
    """The measures of a configuration, with the margins of what is tested: quality, and the update ratio of skip cells.

    A plain cell's updates are given and not learned, so they are compared and not tested. Updates and FLOPs follow
    from the update ratio. How much longer something takes is a question of size: no margin makes two times the same.
    """
    known = margins()
    learned = known.of("update_ratio") if cell in skip_cells() else float("nan")
    return (
        Measure(name="quality", words=metric_name(metric), ratio=known.is_ratio(metric), margin=known.of(metric)),
        Measure(name="update_ratio", words="update ratio", ratio=False, margin=learned),
        Measure(name="updates", words="updates", ratio=False),
        Measure(name="flops_per_sequence", words="FLOPs", ratio=True),
        *COSTS,
    )


def difference_scale(measure: str, *, metric: str) -> float:
    """What a difference is multiplied with to be shown: shares of a whole differ by points, hundredths of it."""
    if measure == "quality":
        return metric_scale(metric)
    return 100.0 if measure == "update_ratio" else 1.0
