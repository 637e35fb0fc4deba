"""A criterion computed on the trials of its rows: the right samples, given to the right statistic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from bench.records.store import Store
from bench.report.paper.claims import statistics
from bench.report.paper.claims.catalogue import Criterion, Row
from bench.report.paper.claims.evidence import Evidence
from bench.report.paper.claims.samples import curves, epochs_to_reach, sample, shares_saved
from bench.report.paper.published import PublishedRow

# Statistics that take one sample a row, and numbers of the criterion.
PLAIN: Mapping[str, Callable[..., Evidence]] = {
    name: getattr(statistics, name)
    for name in (
        "every", "above", "below", "errors_below", "share_below", "below_value", "above_value", "equivalent",
        "ratio_within", "steadier", "falling",
    )
}  # fmt: skip
# Those that are given the published number.
AGAINST_PUBLISHED: Mapping[str, Callable[..., Evidence]] = {
    "near": statistics.near,
    "within_part": statistics.within_part,
}
# One value is enough for these; the others need two.
OF_ONE = ("every", "within_part")


def samples_of(criterion: Criterion, trials: Sequence[pd.DataFrame], *, store: Store) -> list[dict[int, float]]:
    """The samples that the statistic takes, by seed. Raises `RecordError` for a file that cannot be read."""
    if criterion.statistic == "sooner":
        skipping, full = (curves(rows, store=store) for rows in trials)
        return list(epochs_to_reach(skipping, full, part=criterion.part or 1.0))
    if criterion.statistic == "saved_above":
        skipping_trials, full_trials = trials
        return [shares_saved(skipping_trials, full_trials, measure=criterion.measure, store=store)]
    return [sample(criterion.measure, rows, store=store) for rows in trials]


def evidence_of(criterion: Criterion, rows: Sequence[Row], samples: Sequence[Mapping[int, float]]) -> Evidence:
    """The statistic of the criterion on samples that are large enough and finite."""
    if criterion.statistic == "sooner":
        return statistics.below(*samples)
    if criterion.statistic == "saved_above":
        return statistics.saved_above(*samples, **criterion.numbers)
    if criterion.statistic in AGAINST_PUBLISHED:
        value = published_value(criterion.measure, rows[0].published)
        if value is None:
            raise ValueError(f"{criterion.statistic}: no published {criterion.measure} of {rows[0].name}")
        return AGAINST_PUBLISHED[criterion.statistic](*samples, value=value, **criterion.numbers)
    return PLAIN[criterion.statistic](*samples, **criterion.numbers)


def seeds_in(criterion: Criterion, samples: Sequence[Mapping[int, float]]) -> int:
    """How many seeds the statistic would rest on: those that all samples have, or of the smallest where none is."""
    common = set.intersection(*map(set, samples))
    return len(common) or min(map(len, samples))


def troubled(criterion: Criterion, samples: Sequence[Mapping[int, float]]) -> str:
    """What no statistic takes: numbers that are not finite, or errors of zero or less; empty where all is well."""
    for values in samples:
        for seed, value in values.items():
            if not math.isfinite(value):
                return f"seed {seed} has no finite {criterion.measure.replace('_', ' ')}"
            if criterion.statistic in ("errors_below", "ratio_within") and value <= 0:
                return f"seed {seed} has a {criterion.measure.replace('_', ' ')} of {value:g}, which has no logarithm"
    return ""


def published_value(measure: str, row: PublishedRow | None) -> float | None:
    """The paper's number in the record's unit; None where it prints none.

    Update ratios are of the row's own length; FLOPs those of an update.
    """
    if row is None:
        return None
    if measure == "solved":
        return None if row.solved is None else float(row.solved)
    if measure == "quality":
        return row.value / 100 if row.value is not None and row.metric == "map_percent" else row.value
    if row.updates is None:
        return None
    updates = row.updates
    if row.updates_unit == "percent":
        updates *= (row.length or 0) / 100
    if measure == "updates":
        return updates
    if measure == "update_ratio":
        return updates / row.length if row.length else None
    if measure == "flops_of_an_update":
        return None if row.inference_flops is None else row.inference_flops / updates
    return None
