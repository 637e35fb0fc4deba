"""Paired differences and what they say: frameworks against each other, or two engines of one framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.report.comparison.conditions import LOAD, unlike_conditions
from bench.report.comparison.intervals import LEAST_PAIRS, difference_p, equivalence_p, mean_interval
from bench.report.comparison.measures import Measure, measures_of
from bench.report.comparison.pairing import NAMING, Apart, Row, paired
from bench.report.comparison.parting import parting_step
from bench.report.comparison.verdicts import with_verdicts
from impls.contract import Array

# What a summary's row is of, beside the engine (of two frameworks) or the framework (of two engines).
CONFIGURATION = ("problem", "configuration", "cell", "quality_metric", "reported", "device")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Pairs, what they say, and what was not compared.

    Attributes:
        apart: what the two trials of a pair differ in, `framework` or `engine`.
        pairs: one row a pair: `left` and `right` name the sides; then `<field>_left`, `<field>_right` and
            `<field>_difference` (right − left) or `<field>_ratio` (right / left) of every measure; `unlike`, the
            conditions in which the sides differ, under which costs are not compared; `other_load`, whether what ran
            beside them is one; `parting_step`.
        summary: one row a configuration and measure: `pairs` (that count for it), `mean`, `low` and `high` (95 %,
            Student's t, from 5 pairs on; geometric for ratios), `points` (the pairs themselves), `margin`,
            `p_different` and `p_equivalent` with their corrected values, `verdict`, and `left_out`: pairs with a
            number that cannot be compared.
        refused: would-be pairs that do not stand on the same parameters, batches or reported evaluation.
        incomplete: trials without a partner that ended ok.
    """

    apart: Apart
    pairs: pd.DataFrame
    summary: pd.DataFrame
    refused: pd.DataFrame
    incomplete: pd.DataFrame


def compare(trials: pd.DataFrame, *, apart: Apart, curves: pd.DataFrame | None = None) -> Comparison:
    """Pairs the trials and summarises their differences.

    Args:
        trials: one row a trial, as `trials_frame` makes it.
        apart: what the sides of a pair differ in.
        curves: as `curves_frame` makes them; None leaves the parting steps open.
    """
    found = paired(trials, apart=apart)
    by_trial: dict[str, pd.DataFrame] = {}
    if curves is not None:
        by_trial = {str(trial_id): rows for trial_id, rows in curves.groupby("trial_id", sort=False)}
    pairs = pd.DataFrame([_pair(left, right, apart=apart, curves=by_trial) for left, right in found.pairs])
    return Comparison(
        apart=apart,
        pairs=pairs,
        summary=_summary(pairs, apart=apart),
        refused=pd.DataFrame(found.refused),
        incomplete=pd.DataFrame(found.incomplete),
    )


def _pair(left: Row, right: Row, *, apart: Apart, curves: Mapping[str, pd.DataFrame]) -> Row:
    row: Row = {name: left[name] for name in NAMING if name != apart} | {"left": left[apart], "right": right[apart]}
    for side, of in (("left", left), ("right", right)):
        row |= {f"trial_id_{side}": of["trial_id"], f"implementation_{side}": of["implementation"]}
    unlike = unlike_conditions(left, right)
    row |= {"unlike": ", ".join(unlike), "other_load": LOAD in unlike}
    ids = (left["trial_id"], right["trial_id"])
    row["parting_step"] = parting_step(*(curves[each] for each in ids)) if set(ids) <= set(curves) else np.nan
    for measure in measures_of(metric=left["quality_metric"], cell=left["cell"]):
        one, other = float(left[measure.name]), float(right[measure.name])
        row |= {f"{measure.name}_left": one, f"{measure.name}_right": other}
        if measure.cost and unlike:
            row[measure.column] = np.nan
        elif measure.ratio:
            row[measure.column] = other / one if one > 0 and other > 0 else np.nan
        else:
            row[measure.column] = other - one
    return row


def _summary(pairs: pd.DataFrame, *, apart: Apart) -> pd.DataFrame:
    if pairs.empty:
        return pairs
    within = "engine" if apart == "framework" else "framework"
    naming = [*CONFIGURATION, within, "left", "right"]
    rows: list[Row] = []
    for values, group in pairs.groupby(naming, sort=False):
        named = dict(zip(naming, values, strict=True))
        for side in ("left", "right"):
            names = dict.fromkeys(name for name in group[f"implementation_{side}"] if name)
            named[f"implementation_{side}"] = " and ".join(names)
        rows += [
            named | _measured(group, measure)
            for measure in measures_of(metric=str(named["quality_metric"]), cell=str(named["cell"]))
        ]
    return with_verdicts(pd.DataFrame(rows))


def _measured(group: pd.DataFrame, measure: Measure) -> dict[str, Any]:
    """What the pairs of one configuration say of one measure."""
    points = group[measure.column].to_numpy(float)
    usable = points[np.isfinite(points)]
    values = np.log(usable) if measure.ratio else usable
    row: dict[str, Any] = {
        "measure": measure.name,
        "scale": "ratio" if measure.ratio else "difference",
        "pairs": len(values),
        "mean": _on_scale(values.mean(), measure) if len(values) else np.nan,
        "low": np.nan,
        "high": np.nan,
        "points": "; ".join(f"{point:.6g}" for point in usable),
        "margin": _on_scale(np.float64(measure.margin), measure),
        "p_different": np.nan,
        "p_equivalent": np.nan,
        "left_out": _left_out(group, measure),
    }
    if len(values) >= LEAST_PAIRS:
        low, high = mean_interval(values)
        row |= {"low": _on_scale(low, measure), "high": _on_scale(high, measure)}
        if not np.isnan(measure.margin):
            row["p_different"] = float(difference_p(values))
            row["p_equivalent"] = float(equivalence_p(values, margin=measure.margin))
    return row


def _on_scale(value: Array | np.floating[Any], measure: Measure) -> float:
    return float(np.exp(value)) if measure.ratio else float(value)


def _left_out(group: pd.DataFrame, measure: Measure) -> str:
    """The seeds whose pair counts for nothing here, though both sides say something or ought to."""
    lost = ~np.isfinite(group[measure.column].to_numpy(float))
    if measure.cost:  # unlike conditions are told of the pair; old records lack some costs
        return ""
    seeds = ", ".join(f"seed {seed}" for seed in group["seed"][lost])
    why = "not a number above 0" if measure.ratio else "not a finite number"
    return f"{seeds}: {why}" if seeds else ""
