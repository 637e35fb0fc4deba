"""The skip gate: when it fires next, and what it proposes."""

from __future__ import annotations

import math

import numpy as np

from impls.pytorch.engines.kernels.compiled import compiled
from impls.pytorch.engines.kernels.layout import ALWAYS, ROUND, SCHEDULED
from impls.pytorch.engines.kernels.passes import add_logit


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


@compiled(inlined=True)
def update_probability(weights, bias, fed, logit):
    """Eq. 4: `Δũ = σ(s W + b)`, for a bias of one number; `logit` `[1]`, float64, is to work in."""
    one = weights.dtype.type(1)
    logit[0] = bias[0]
    add_logit(0, (weights, fed, logit))
    return one / (one + weights.dtype.type(math.exp(-np.float64(weights.dtype.type(logit[0])))))
