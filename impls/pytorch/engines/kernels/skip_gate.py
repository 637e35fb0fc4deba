"""The skip gate: when it fires next, and what it proposes."""

from __future__ import annotations

import math

import numpy as np

from impls.pytorch.engines.kernels.compiled import SUMMED, compiled
from impls.pytorch.engines.kernels.layout import ALWAYS, GIVEN, ROUND


@compiled()
def next_update(decision, probability, stored, start, steps, draws, cumulative):
    """The next time step at which the gate fires, or `steps`: eq. 5 repeated, rounding for rounding."""
    if decision == ALWAYS:
        return start
    one = cumulative.dtype.type(1)
    half = cumulative.dtype.type(0.5)
    for t in range(start, steps):
        if decision == GIVEN:
            if draws[t] != 0:
                return t
        else:
            remaining = one - stored
            stored = stored + (probability if probability <= remaining else remaining)
            cumulative[t] = stored
            if stored > half if decision == ROUND else draws[t] < stored:
                return t
    return steps


@compiled(SUMMED)
def _logit(weights, bias, fed):
    """`s W + b`, in float64, since a gate may hang on its last digit."""
    total = np.float64(bias)
    for index in range(weights.size):
        total += np.float64(weights[index]) * np.float64(fed[index])
    return total


@compiled()
def update_probability(weights, bias, fed):
    """Eq. 4: `Δũ = σ(s W + b)`, for a bias of one number."""
    one = weights.dtype.type(1)
    logit = weights.dtype.type(_logit(weights, bias[0], fed))
    return one / (one + weights.dtype.type(math.exp(-np.float64(logit))))
