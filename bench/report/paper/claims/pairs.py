"""Differences between frameworks and between engines, configuration by configuration: the comparison's own.

Two trials that differ in the framework alone are a pair; two of one framework that differ in the engine alone are a
null pair, whose difference is what rounding makes of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from bench.report.comparison.null_pairs import NullComparison
from bench.report.comparison.pairing import with_configuration
from impls.contract import ENGINES

# What tells one configuration from another.
NAMES = ["problem", "configuration", "device"]


@dataclass(frozen=True, kw_only=True)
class PairedDifferences:
    """One configuration: a number a seed of the `differences` between frameworks and between engines (`null`).

    Of a seed that ran in both frameworks and on both engines it is the mean of two pairs: what a framework changes on
    either engine, or an engine in either framework. The four trials make one seed, not two. NaN where one of them has
    no number. Of `asked` seeds the others lack one of the four pairs.
    """

    problem: str
    label: str
    differences: tuple[float, ...]
    null: tuple[float, ...]
    asked: int


def paired_differences(null: NullComparison, frame: pd.DataFrame, *, measure: str) -> Iterator[PairedDifferences]:
    """Every configuration with a seed that has all four trials, of the frame that the comparison was made of.

    What makes a pair, what is left out, and the scale of a difference are the comparison's (`docs/comparison.md`).
    """
    units = null.units[null.units["measure"] == measure]
    of_engines = with_configuration(frame[frame["engine"].isin(ENGINES)])
    asked = of_engines.groupby(NAMES)["seed"].nunique().to_dict()
    for key, rows in units.groupby(NAMES, sort=False):
        yield PairedDifferences(
            problem=str(key[0]),
            label=str(key[1]),
            differences=tuple(rows["frameworks"]),
            null=tuple(rows["engines"]),
            asked=asked[key],
        )
