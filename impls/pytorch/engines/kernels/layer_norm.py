"""Layer norm of one gate of one sequence, and its gradient.

It magnifies rounding errors, so every operation is rounded as it is written: what the compiler may reorder it reorders
differently where it compiles and where it finds its work in the cache.
"""

from __future__ import annotations

import numpy as np

from impls.pytorch.engines.kernels.compiled import compiled
from impls.reference import LAYER_NORM_EPSILON


@compiled()
def _moments(pre, units):
    """Mean and deviation, summed in float64; where a sum is beyond the type of `pre`, the deviation is NaN."""
    total = np.float64(0)
    for index in range(units):
        total += np.float64(pre[index])
    mean = total / units
    squares = np.float64(0)
    for index in range(units):
        squares += (np.float64(pre[index]) - mean) * (np.float64(pre[index]) - mean)
    deviation = np.sqrt(squares / units)
    if np.isinf(pre.dtype.type(total)) or np.isinf(pre.dtype.type(squares)):
        deviation = np.nan
    return pre.dtype.type(mean), pre.dtype.type(deviation)


@compiled()
def normalise(pre, gain, bias, units, target):
    """The normalised, scaled and shifted pre-activations, into `target`."""
    mean, deviation = _moments(pre, units)
    scale = pre.dtype.type(1) / (deviation + pre.dtype.type(LAYER_NORM_EPSILON))
    for index in range(target.size):
        target[index] = gain[index] * (pre[index] - mean) * scale + bias[index]


@compiled()
def normalise_back(pre, gain, units, change, gain_change, bias_change):
    """The gradient of `normalise`: replaces `change`, of the result, by that of `pre`."""
    one, count = pre.dtype.type(1), pre.dtype.type(units)
    mean, deviation = _moments(pre, units)
    scale = one / (deviation + pre.dtype.type(LAYER_NORM_EPSILON))
    along = pre.dtype.type(0)
    for index in range(units):
        gain_change[index] += change[index] * (pre[index] - mean) * scale
        bias_change[index] += change[index]
        along += change[index] * gain[index] * (pre[index] - mean)
    # A layer of one unit has no deviation, and its gradient is 0.
    slope = along * scale * scale / (count * deviation) if deviation > 0 else pre.dtype.type(0)
    average = pre.dtype.type(0)
    for index in range(units):
        change[index] = change[index] * gain[index] * scale - slope * (pre[index] - mean)
        average += change[index]
    average /= count
    for index in range(units):
        change[index] -= average
