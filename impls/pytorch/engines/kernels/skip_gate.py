"""The skip gate: when it fires next, and what it proposes."""

from __future__ import annotations

import math

import numpy as np

from impls.pytorch.engines.kernels.compiled import SUMMED, compiled
from impls.pytorch.engines.kernels.layout import ALWAYS, ROUND, SCHEDULED


@compiled(inlined=True)
def next_update(decision, probability, stored, start, length, draws, cumulative):
    """The next time step at which the gate fires, or `length`: eq. 5 repeated, rounding for rounding.

    A gate that reads NaN fires, so that NaN is passed on from there.
    """
    if decision == ALWAYS:
        return start
    one = cumulative.dtype.type(1)
    half = cumulative.dtype.type(0.5)
    for t in range(start, length):
        if decision == SCHEDULED:
            if draws[t] != 0:
                return t
        else:
            remaining = one - stored
            stored = stored + (remaining if probability > remaining else probability)
            cumulative[t] = stored
            if stored > half if decision == ROUND else draws[t] < stored:
                return t
            if stored != stored:
                return t
    return length


@compiled(inlined=True)
def fired(decision, draws, cumulative, t):
    """The gate of an update: 1, or NaN where it read NaN."""
    if decision < ROUND:
        return cumulative.dtype.type(1)
    return cumulative[t] - cumulative[t] + cumulative.dtype.type(1)


@compiled(SUMMED)
def _logit(weights, bias, fed):
    """`s W + b`, in float64, since a gate may hang on its last digit."""
    total = np.float64(bias)
    for index in range(weights.size):
        total += np.float64(weights[index]) * np.float64(fed[index])
    return total


@compiled(inlined=True)
def update_probability(weights, bias, fed):
    """Eq. 4: `Δũ = σ(s W + b)`, for a bias of one number."""
    one = weights.dtype.type(1)
    logit = weights.dtype.type(_logit(weights, bias[0], fed))
    return one / (one + weights.dtype.type(math.exp(-np.float64(logit))))
