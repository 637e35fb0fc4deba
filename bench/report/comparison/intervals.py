"""Student's t on paired differences: the interval of their mean, and tests of it. All work along the last axis."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import stats

from impls.contract import Array

LEVEL = 0.95
# With fewer pairs than this an interval is wider than anything it could say; the pairs are shown themselves.
LEAST_PAIRS = 5
# Differences that are the same number differ in the last digits of their subtraction.
SAME = 1e-10


def mean_interval(differences: Array, *, level: float = LEVEL) -> tuple[Array, Array]:
    """The interval of the mean of `[..., pairs]` differences, `[...]` each: mean ∓ t · s / √n, n − 1 degrees.

    Where all pairs differ by the same, the interval is that number.
    """
    mean, error, degrees = _moments(differences)
    reach = stats.t.ppf((1 + level) / 2, degrees) * error
    return mean - reach, mean + reach


def difference_p(differences: Array) -> Array:
    """The two-sided p-value of the hypothesis that the mean of `[..., pairs]` differences is 0: the paired t-test."""
    mean, error, degrees = _moments(differences)
    return cast(Array, 2 * stats.t.sf(np.abs(_statistic(mean, error)), degrees))


def equivalence_p(differences: Array, *, margin: float) -> Array:
    """The p-value of the hypothesis that the mean lies at ±`margin` or beyond: the larger of two one-sided t-tests.

    Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15, 657–680.
    """
    mean, error, degrees = _moments(differences)
    above = stats.t.sf(_statistic(mean + margin, error), degrees)
    below = stats.t.cdf(_statistic(mean - margin, error), degrees)
    return cast(Array, np.maximum(above, below))


def _moments(differences: Array) -> tuple[Array, Array, int]:
    """The mean, its standard error and the degrees of freedom; an error of exactly 0 where all are the same."""
    values = np.asarray(differences, np.float64)
    mean, deviation = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    deviation = np.where(deviation <= SAME * np.abs(mean), 0.0, deviation)
    return mean, deviation / np.sqrt(values.shape[-1]), values.shape[-1] - 1


def _statistic(mean: Array, error: Array) -> Array:
    """t; infinite where the error is 0 and the mean is not, and 0 where both are."""
    certain = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.where(error == 0, certain, mean / np.where(error == 0, 1.0, error))
