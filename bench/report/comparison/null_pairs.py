"""Frameworks against null pairs: whether two frameworks differ by more than two engines of one framework do.

Rounding alone makes trajectories part, so two trials that compute the same differ too. Of each seed of a configuration
four trials are needed: two frameworks, each on two engines. The difference of the frameworks is taken as the mean over
the engines, and the difference of the engines as the mean over the frameworks. If nothing but rounding told the four
apart they would be exchangeable, and so would these two differences: the ratio of their sizes is 1 then, and its
interval (`typical_values`) needs neither a normal distribution, which trajectories that part at odd moments lack, nor
equal variances of configurations. An F-test of all pairs would need both, and independent pairs, which the four are
not. Differences are counted in margins, so that configurations of different metrics are taken together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.report.comparison.margins import margins
from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.typical_values import SizeRatio, size_ratio
from bench.report.frames import rows_of
from impls.contract import ENGINES
from impls.kinds import skip_cells

TESTED = ("quality", "update_ratio")
NAMES = ("problem", "configuration", "cell", "quality_metric", "device")


@dataclass(frozen=True, kw_only=True)
class NullComparison:
    """Differences of frameworks beside those of engines.

    Attributes:
        units: one row a seed, configuration and measure that has all four trials: `frameworks` and `engines`, the two
            differences in margins; NaN where one of the four has no number that can be compared.
        ratios: by measure, how many times as large the frameworks' differences are.
        sizes: one row a configuration and measure: root mean squared paired differences, `frameworks_size` and
            `engines_size`, factors for ratios; `frameworks_pairs` and `engines_pairs` behind them;
            `frameworks_parted` and `engines_parted`, how many of the pairs part, of `…_told`, whose curves tell, and
            `…_parting`, their median step.
    """

    units: pd.DataFrame
    ratios: dict[str, SizeRatio]
    sizes: pd.DataFrame


def compare_with_null(frameworks: Comparison, engines: Comparison) -> NullComparison:
    """Takes the pairs of frameworks and those of engines together, without native layers."""
    of_frameworks, of_engines = pairs_without_native(frameworks), pairs_without_native(engines)
    units = pd.DataFrame(
        [row for measure in TESTED for row in _units(of_frameworks, of_engines, measure=measure)],
        columns=[*NAMES, "seed", "measure", "frameworks", "engines"],
    )
    ratios = {
        str(measure): size_ratio(rows["frameworks"].to_numpy(float), rows["engines"].to_numpy(float))
        for measure, rows in units.dropna(subset=["frameworks", "engines"]).groupby("measure", sort=False)
    }
    return NullComparison(units=units, ratios=ratios, sizes=_sizes(of_frameworks, of_engines))


def pairs_without_native(comparison: Comparison) -> pd.DataFrame:
    """The pairs whose trials ran on engines that both frameworks have for every cell.

    Four trials of a seed stay four where a native layer ran beside them.
    """
    if comparison.pairs.empty:
        return comparison.pairs
    engines = ["engine"] if comparison.apart == "framework" else ["left", "right"]
    return comparison.pairs[comparison.pairs[engines].isin(ENGINES).all(axis="columns")]


def in_margins(pairs: pd.DataFrame, measure: str) -> pd.Series[float]:
    """The differences of a measure in margins, on its scale; NaN for what is not tested."""
    metrics = pairs["quality_metric"] if measure == "quality" else pd.Series(measure, index=pairs.index)
    known = margins()
    values = [_scaled(row, measure) / known.of(metric) for row, metric in zip(rows_of(pairs), metrics, strict=True)]
    return pd.Series(values, index=pairs.index, dtype=float)


def _is_tested(row: dict[str, Any], measure: str) -> bool:
    """Not a plain cell's updates, which are given, nor a metric that has no margin to count in."""
    if measure == "update_ratio":
        return row["cell"] in skip_cells()
    return not np.isnan(margins().of(str(row["quality_metric"])))


def _scaled(row: dict[str, Any], measure: str) -> float:
    """A paired difference on the scale that is averaged; NaN for a plain cell's updates, which are given."""
    if measure == "update_ratio" and row["cell"] not in skip_cells():
        return float("nan")
    if measure == "quality" and margins().is_ratio(str(row["quality_metric"])):
        return float(np.log(row["quality_ratio"]))
    return float(row[f"{measure}_difference"])


def _units(frameworks: pd.DataFrame, engines: pd.DataFrame, *, measure: str) -> list[dict[str, Any]]:
    """The seeds that have all four trials: pairs of frameworks on both engines, of engines in both frameworks."""
    if frameworks.empty or engines.empty:
        return []
    keys = [*NAMES, "seed"]
    sides = []
    for name, pairs in (("frameworks", frameworks), ("engines", engines)):
        tested = pairs[[_is_tested(row, measure) for row in rows_of(pairs)]]
        values = in_margins(tested, measure)
        valued = tested.assign(value=values.where(np.isfinite(values)))
        of_seed = valued.groupby([*keys, "left", "right"], sort=False)["value"]
        table = pd.DataFrame({name: of_seed.sum(min_count=2) / 2, "pairs": of_seed.size()}).reset_index()
        sides.append(table.loc[table["pairs"] == 2, [*keys, name]])
    return rows_of(sides[0].merge(sides[1], on=keys).assign(measure=measure))


def _sizes(frameworks: pd.DataFrame, engines: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    if engines.empty:
        return pd.DataFrame(rows)
    by_name = {
        side: dict(list(pairs.groupby(list(NAMES), sort=False))) if len(pairs) else {}
        for side, pairs in (("frameworks", frameworks), ("engines", engines))
    }
    for key in by_name["engines"]:
        named = dict(zip(NAMES, key, strict=True))
        for measure in TESTED:
            row: dict[str, Any] = {**named, "measure": measure}
            for side, groups in by_name.items():
                sizes = _size(groups.get(key, pd.DataFrame()), measure)
                row |= {f"{side}_{what}": value for what, value in sizes.items()}
            row["quality_is_ratio"] = margins().is_ratio(str(named["quality_metric"]))
            if row["engines_pairs"]:
                rows.append(row)
    return pd.DataFrame(rows)


def _size(pairs: pd.DataFrame, measure: str) -> dict[str, Any]:
    if pairs.empty:
        return {"size": np.nan, "pairs": 0, "parted": 0, "told": 0, "parting": np.nan}
    values = np.array([_scaled(row, measure) for row in rows_of(pairs)])
    values = values[np.isfinite(values)]
    size = float(np.sqrt(np.mean(values**2))) if len(values) else np.nan
    if measure == "quality" and margins().is_ratio(str(pairs["quality_metric"].iloc[0])):
        size = float(np.exp(size))
    told = pairs["parting_step"].dropna()
    parted = told[np.isfinite(told)]
    return {
        "size": size,
        "pairs": len(values),
        "parted": len(parted),
        "told": len(told),
        "parting": float(parted.median()) if len(parted) else np.nan,
    }
