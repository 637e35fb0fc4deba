"""Bootstrap intervals of a mean, from a generator of their own."""

from __future__ import annotations

import numpy as np

from impls.contract import Array

RESAMPLES = 10_000
SEED = 0
# Fewer values than this say too little about their spread.
LEAST = 3


def mean_interval(values: Array, *, level: float = 0.95) -> tuple[float, float] | None:
    """The percentile interval of the mean of `[n]` values; None for n < 3. The same values give the same one."""
    if len(values) < LEAST:
        return None
    draw = np.random.Generator(np.random.Philox(SEED))
    rows = draw.integers(0, len(values), (RESAMPLES, len(values)))
    means = np.asarray(values, np.float64)[rows].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
