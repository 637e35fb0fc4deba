"""What a statistic finds for a statement and against it, and Student's t on the mean difference of two samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from impls.contract import Array

# Values by seed: one trial each.
Sample = Mapping[int, float]
# Values that differ by less than this part of their size are equal; a t test of them would divide by rounding.
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a statistic finds.

    Attributes:
        measured: what the estimate is, in words.
        estimate: the number that the statement is about.
        low, high: its 95 % interval; None where the statistic has none.
        test: the test's name; empty where values are counted or compared alone.
        shown: p of the data if the statement were false; small where it is shown.
        refuted: p of the data if it were true; small where its opposite is shown.
        n: seeds, or pairs, that it rests on; the smaller number where two samples share none.
    """

    measured: str
    estimate: float
    low: float | None = None
    high: float | None = None
    test: str = ""
    shown: float
    refuted: float
    n: int


class Contrast:
    """The mean of one sample less that of another, by Student's t on the seeds that both have.

    Where they share no seed it is Welch's t on all. Needs two values a sample.
    """

    def __init__(self, left: Sample, right: Sample) -> None:
        common = sorted(set(left) & set(right))
        self.paired = bool(common)
        self.left = np.array([left[seed] for seed in common or sorted(left)], np.float64)
        self.right = np.array([right[seed] for seed in common or sorted(right)], np.float64)
        self.n = min(len(self.left), len(self.right))
        self.test = "paired t" if self.paired else "Welch's t"

    @property
    def mean(self) -> float:
        """The estimate."""
        return float(self.left.mean() - self.right.mean())

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean difference."""
        if self._constant():
            return self.mean, self.mean
        if self.paired:
            found = stats.ttest_1samp(self.left - self.right, 0.0)
        else:
            found = stats.ttest_ind(self.left, self.right, equal_var=False)
        low, high = found.confidence_interval(0.95)
        return float(low), float(high)

    def above(self, bound: float) -> float:
        """p of the data if the mean difference were at most `bound`."""
        return self._p(bound, "greater")

    def below(self, bound: float) -> float:
        """p of the data if it were at least `bound`."""
        return self._p(bound, "less")

    def _p(self, bound: float, alternative: str) -> float:
        if self._constant():  # equal differences leave no doubt: 0 or 1
            gap = self.mean - bound
            if abs(gap) <= ROUNDING * max(1.0, abs(bound)):
                return 1.0
            return float((gap > 0) != (alternative == "greater"))
        if self.paired:
            return float(stats.ttest_1samp(self.left - self.right, bound, alternative=alternative).pvalue)
        return float(stats.ttest_ind(self.left - bound, self.right, equal_var=False, alternative=alternative).pvalue)

    def _constant(self) -> bool:
        if self.paired:
            return constant(self.left - self.right, size=float(np.abs([self.left, self.right]).max()))
        return constant(self.left) and constant(self.right)


def constant(values: Array, *, size: float | None = None) -> bool:
    """Whether values `[n]` are equal but for rounding; `size` is that of the numbers that they come from."""
    return bool(np.ptp(values) <= ROUNDING * (float(np.abs(values).max()) if size is None else size))


def against(sample: Sample, value: float) -> Contrast:
    """The sample's mean less a fixed value."""
    return Contrast(sample, dict.fromkeys(sample, value))
