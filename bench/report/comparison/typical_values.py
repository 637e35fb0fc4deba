"""An interval for a ratio of sizes that assumes no distribution: typical values of its subsets.

Let (a, b) be two differences of each unit of an experiment. If a / ρ and b are exchangeable within every unit (swapping
them changes no probability), then Σ (a / ρ)² − Σ b² over units is as likely as with any units swapped, and the ratios
√(Σ a² / Σ b²) over the 2ⁿ − 1 subsets of units cut the line into 2ⁿ intervals that hold ρ with equal probability.
Hartigan (1969), Journal of the American Statistical Association 64, 1303–1317.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from bench.report.comparison.intervals import LEVEL
from impls.contract import Array

# All subsets of so many units are taken; of more units a sample, which is as good and the same every time.
ALL_SUBSETS_OF = 12
SAMPLED, SEED = 9_999, 0


@dataclass(frozen=True, kw_only=True)
class SizeRatio:
    """How many times as large a's are as b's.

    Attributes:
        ratio: of their root mean squares; NaN where all are 0.
        low, high: the interval; 0 and infinity where so few units give no bound.
        units: how many.
    """

    ratio: float
    low: float
    high: float
    units: int


def size_ratio(a: Array, b: Array, *, level: float = LEVEL) -> SizeRatio:
    """The ratio of root mean squares of `[units]` differences a and b, with its interval.

    A subset in which all are 0 says nothing, and counts against either bound.
    """
    squares = np.stack([np.square(a, dtype=np.float64), np.square(b, dtype=np.float64)])
    subsets = _subsets(squares.shape[1])
    sums = squares @ subsets.T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.sqrt(sums[0] / sums[1])
        whole = float(np.sqrt(squares[0].sum() / squares[1].sum()))
    # Of m ratios in order, m + 1 intervals: so many may be left out at either end.
    outside = int((1 - level) / 2 * (len(ratios) + 1))
    low = high = float("nan")
    if outside == 0:
        low, high = 0.0, float("inf")
    else:
        low = float(np.sort(np.nan_to_num(ratios, nan=0.0, posinf=np.inf))[outside - 1])
        high = float(np.sort(np.nan_to_num(ratios, nan=np.inf, posinf=np.inf))[-outside])
    return SizeRatio(ratio=whole, low=low, high=high, units=squares.shape[1])


def _subsets(units: int) -> Array:
    """Which units are in which subset, `[subsets, units]` of 0 and 1; none is empty."""
    if units <= ALL_SUBSETS_OF:
        return np.array(list(itertools.product((0.0, 1.0), repeat=units))[1:]).reshape(-1, units)
    drawn = np.random.Generator(np.random.Philox(SEED)).integers(0, 2, (SAMPLED, units)).astype(np.float64)
    return drawn[drawn.any(axis=1)]
