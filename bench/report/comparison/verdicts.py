"""Equivalent, different or undecided: two one-sided tests and the paired t-test, corrected over a table.

Of each mean difference two hypotheses are tested: that it lies at the margin or beyond (rejected: *equivalent*), and
that it is 0 (rejected: a difference). A difference that is real but surely smaller than the margin is *equivalent*;
*different* is one that is real and not surely smaller; whatever neither test decides is *undecided*.

Holm's correction is made over all tests of a table, for either hypothesis on its own: the chance that any "equivalent"
of a table is false is 5 % at most, and the same holds of "different".
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.comparison.intervals import LEAST_PAIRS
from impls.contract import Array

ERROR_RATE = 0.05
EQUIVALENT, DIFFERENT, UNDECIDED = "equivalent", "different", "undecided"


def holm(p_values: Array) -> Array:
    """Adjusted p-values `[tests]`: the k-th smallest times the number of tests that are left, never falling.

    Holm (1979), Scandinavian Journal of Statistics 6, 65–70.
    """
    order = np.argsort(p_values, kind="stable")
    left = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(left * np.asarray(p_values)[order]))
    return adjusted


def with_verdicts(summary: pd.DataFrame) -> pd.DataFrame:
    """Adds `p_different_holm`, `p_equivalent_holm` and `verdict` to rows with `p_different` and `p_equivalent`.

    The tests are those of rows that have both: a margin and enough pairs. Rows with a margin and too few pairs are
    undecided; those without a margin have no verdict.
    """
    told = summary.copy()
    tested = told["p_equivalent"].notna()
    for name in ("p_different", "p_equivalent"):
        told[f"{name}_holm"] = np.nan
        told.loc[tested, f"{name}_holm"] = holm(told.loc[tested, name].to_numpy(float))
    told["verdict"] = [
        _verdict(margin=margin, pairs=pairs, equivalent=equivalent, different=different)
        for margin, pairs, equivalent, different in zip(
            told["margin"], told["pairs"], told["p_equivalent_holm"], told["p_different_holm"], strict=True
        )
    ]
    return told


def _verdict(*, margin: float, pairs: int, equivalent: float, different: float) -> str:
    if np.isnan(margin) or pairs == 0:
        return ""
    if pairs < LEAST_PAIRS:
        return UNDECIDED
    if equivalent < ERROR_RATE:
        return EQUIVALENT
    return DIFFERENT if different < ERROR_RATE else UNDECIDED
