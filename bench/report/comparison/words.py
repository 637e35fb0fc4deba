"""The comparison in plain sentences, each computed from its numbers."""

from __future__ import annotations

import math

import pandas as pd

from bench.report.comparison.intervals import LEAST_PAIRS
from bench.report.comparison.margins import margins
from bench.report.comparison.null_pairs import NullComparison
from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.skipping import DOES_NOT_PAY, PAYS, TIMES, UNDECIDED, Skipping
from bench.report.comparison.typical_values import SizeRatio
from bench.report.comparison.verdicts import DIFFERENT, EQUIVALENT
from bench.report.comparison.verdicts import UNDECIDED as OPEN
from bench.report.frames import rows_of
from bench.report.load import LIKE_LOAD
from bench.report.names import framework_name, many, metric_name, metric_unit
from bench.report.numbers import number

MEASURES = {"quality": "quality", "update_ratio": "update ratio"}
HOW_PAIRED = (
    "A pair is two trials that differ in the framework alone: the same seed, initial parameters and batches, by "
    f"checksum. From {LEAST_PAIRS} pairs on a cell holds the mean and its 95 % interval (Student's t on paired "
    "differences; ratios in logarithms, so that their mean is geometric); below that it holds the pairs themselves. "
    "A cell of fewer pairs than its row says of how many."
)
HOW_JUDGED = (
    "Equivalent: two one-sided t-tests put the mean difference within the margin. Different: a paired t-test tells it "
    "from 0, and it is not surely within the margin. Undecided: neither, or fewer than five pairs. Both kinds of "
    "tests are corrected by Holm's method, each over all tests of this table (quality and learned update ratios): "
    "the chance that any “equivalent” is false is at most 5 %, and so for “different”."
)
# Where there are times of both frameworks and of skips beside the same load.
ELSEWHERE = "Times of the cells by themselves: python -m bench speed."
HOW_TIMED = (
    "A time is that of the engine and implementation named in its row, as this project runs it: fast on a CPU is "
    "compiled kernels in PyTorch and rounds compiled by XLA in TensorFlow, and neither is the framework's own layer. "
    "Times are compared where as many other trials ran beside both sides, and both started on a machine about as busy: "
    f"processes a core within a factor of {LIKE_LOAD:g}, fewer than one counted as one."
)


def margins_text() -> str:
    """The margins that the verdicts stand on."""
    known = margins()
    told = [_margin_text(name, value) for name, value in known.difference.items()]
    told += [f"{metric_name(metric)} a factor of {value:g}" for metric, value in known.ratio.items()]
    return f"Margins: {', '.join(told)}. A point is a percentage point."


def _margin_text(name: str, value: float) -> str:
    if name != "update_ratio" and not metric_unit(name):
        return f"{metric_name(name)} {value:g}"
    points = 100 * value
    return f"{MEASURES.get(name) or metric_name(name)} {points:g} {'point' if points == 1 else 'points'}"


def signs(comparison: Comparison) -> str:
    """Which way differences and ratios are taken."""
    directions = sorted({(row["left"], row["right"]) for row in rows_of(comparison.summary)})
    told = [(framework_name(left), framework_name(right)) for left, right in directions]
    return "; ".join(f"differences are {right} − {left}, ratios (×) {right} / {left}" for left, right in told)


def agreement(comparison: Comparison) -> list[str]:
    """A sentence for every two frameworks: how many configurations are equivalent, different, undecided; and times."""
    told: list[str] = []
    if comparison.pairs.empty:
        return told
    for (left, right), rows in comparison.summary.groupby(["left", "right"], sort=False):
        pairs = comparison.pairs[(comparison.pairs["left"] == left) & (comparison.pairs["right"] == right)]
        parts = []
        for measure, words in MEASURES.items():
            verdicts = rows.loc[(rows["measure"] == measure) & (rows["verdict"] != ""), "verdict"]
            counts = [f"{(verdicts == kind).sum()} {kind}" for kind in (EQUIVALENT, DIFFERENT, OPEN)
                      if (verdicts == kind).any()]  # fmt: skip
            if counts:
                parts.append(f"{words} {', '.join(counts)}")
        both = f"{framework_name(str(left))} and {framework_name(str(right))}"
        line = f"{both}, {many(len(pairs), 'pair')} in {many(len(_configurations(rows)), 'configuration')}"
        told.append(f"{line}: {'; '.join(parts) or 'no verdicts'}.")
        told += _step_times(pairs, left=framework_name(str(left)), right=framework_name(str(right)))
    return told


def _configurations(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["problem", "configuration", "engine"]].drop_duplicates()


def _step_times(pairs: pd.DataFrame, *, left: str, right: str) -> list[str]:
    told = []
    for (engine, one, other), rows in pairs.groupby(
        ["engine", "implementation_left", "implementation_right"], sort=False
    ):
        ratios, unlike = rows["step_milliseconds_ratio"].dropna(), rows[rows["unlike"] != ""]
        apart, where = len(unlike), "beside different load" if unlike["other_load"].all() else "under unlike conditions"
        if len(ratios) > apart:
            without = f"; left out: {apart} {where}" if apart else ""
            told.append(
                f"Engine {engine}: a training step of {right}{_runs(str(other))} takes "
                f"{number(ratios.median(), digits=3)} times that of {left}{_runs(str(one))} "
                f"(median of {many(len(ratios), 'pair')}{without})."
            )
        elif apart:  # a median of the few that chance left would be of these alone
            told.append(
                f"Engine {engine}: times are not {'summed up' if len(ratios) else 'compared'}, since the trials of "
                f"{apart} of {many(len(ratios) + apart, 'pair')} ran {where}. {ELSEWHERE}"
            )
    return told


def _runs(implementation: str) -> str:
    return f" ({implementation})" if implementation else ""


def against_null(null: NullComparison) -> list[str]:
    """Whether frameworks differ by more than engines of one framework do, a sentence a measure."""
    if null.sizes.empty:
        return [
            "No configuration ran on two engines of one framework, so it is not known here how far rounding alone "
            "takes two trials apart: python run_all.py frameworks measures it."
        ]
    if not null.ratios:
        return ["No seed has all four trials, both frameworks on both engines, so the two are not compared."]
    return [_against_null(MEASURES[measure], ratio) for measure, ratio in null.ratios.items()]


def _against_null(words: str, size: SizeRatio) -> str:
    start, most = words[0].upper() + words[1:], margins().between_engines.ratio
    over = f"over {many(size.units, 'seed')} of configurations"
    if math.isnan(size.ratio):
        return f"{start}: neither frameworks nor engines differ, {over}."
    found = f"{number(size.ratio, digits=3)} times as large, 95 % {_bounds(size)}, {over}"
    if size.low > 1:
        return f"{start}: the frameworks differ by more than two engines of one framework do ({found})."
    if size.high < 1:
        return f"{start}: the frameworks differ by less than two engines of one framework do ({found})."
    if size.high < most:
        return f"{start}: the frameworks differ by no more than two engines of one framework do ({found})."
    return (
        f"{start}: undecided whether the frameworks differ by more than two engines of one framework do ({found}; “no "
        f"more” needs an upper bound below {most:g})."
    )


def _bounds(size: SizeRatio) -> str:
    if size.low == 0 and math.isinf(size.high):
        return "interval without bounds, too few seeds"
    return f"interval {number(size.low, digits=3)} to {'any' if math.isinf(size.high) else number(size.high, digits=3)}"


def payment(skipping: Skipping) -> list[str]:
    """Where skipping saves time and where it does not: a sentence a framework, engine and kind of time."""
    told = []
    if len(skipping.summary):
        naming = ["framework", "engine", "implementation", "time"]
        for (framework, engine, implementation, time), rows in skipping.summary.groupby(naming, sort=False):
            counts = [_counted(rows[rows["verdict"] == kind], kind) for kind in (PAYS, DOES_NOT_PAY, UNDECIDED)]
            runs = _runs("" if implementation == engine else str(implementation))
            name = f"{framework_name(str(framework))}, {engine}{runs}"
            told.append(f"{name}, {TIMES[str(time)]}: skipping {'; '.join(filter(None, counts))}.")
    return told


def _counted(rows: pd.DataFrame, verdict: str) -> str:
    if rows.empty:
        return ""
    words = {PAYS: "pays", DOES_NOT_PAY: "does not pay", UNDECIDED: "leaves it undecided"}[verdict]
    times, updates = _range(rows["ratio"]), _range(100 * rows["update_ratio"])
    return f"{words} in {many(len(rows), 'configuration')} (×{times} the time at {updates} % of the updates)"


def _range(values: pd.Series[float]) -> str:
    low, high = number(values.min(), digits=2), number(values.max(), digits=2)
    return low if low == high else f"{low} to {high}"
