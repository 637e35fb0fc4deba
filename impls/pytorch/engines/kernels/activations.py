"""Activation functions and their derivatives, as expressions over `Lanes`.

In float32 the exponential is a polynomial (within 2e-7 of the exact value, relative), since a call of the mathematical
library for each element costs as much as the products; in float64 it is the library's.
"""

from __future__ import annotations

import math

from impls.pytorch.engines.kernels.lanes import Lanes

TANH, RELU, SIGMOID, IDENTITY = range(4)  # in the order of `impls.contract.ACTIVATIONS`
KINDS = 4

_LOG2_E = 1.0 / math.log(2.0)
_LN2_HIGH = 0.693359375  # 9 bits of ln 2: its product with a small whole number is exact
_LN2_LOW = math.log(2.0) - _LN2_HIGH
_LIMIT = 88.3  # e^88.3 is a number still
_LARGE = 2e38  # 1 over it is a denormal
_SERIES = [1.0 / math.factorial(order) for order in range(7, 1, -1)]


def _clamp(x: Lanes, limit: float) -> Lanes:
    return x.where("<", -limit, -limit).where(">", limit, limit)


def _split(x: Lanes) -> tuple[Lanes, Lanes]:
    """`(e^r − 1, 2^k)` with `x = k ln 2 + r`, float32 within ±88.3; 2^k is 0 where it would be a denormal."""
    k = (x * _LOG2_E).rounded()
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = r * _SERIES[0] + _SERIES[1]
    for coefficient in _SERIES[2:]:
        series = series * r + coefficient
    return (series * r) * r + r, k.power_of_two()


def sigmoid(x: Lanes) -> Lanes:
    """The logistic function."""
    if not x.is_single:
        return 1.0 / (1.0 + (-x).by_library("exp"))
    small, scale = _split(_clamp(-x, _LIMIT))
    exponential = scale * small + scale
    # Far out it is 0, not nearly: `relu` may multiply it by any number.
    return 1.0 / (1.0 + exponential.where(">", _LARGE, math.inf))


def hyperbolic_tangent(x: Lanes) -> Lanes:
    """`tanh`, in float32 from e^2x − 1, which is exact to rounding where x is small."""
    if not x.is_single:
        return x.by_library("tanh")
    small, scale = _split(2.0 * _clamp(x, 10.0))
    above = scale * small + (scale - 1.0)
    return above / (above + 2.0)


def activate(kind: int, x: Lanes) -> Lanes:
    """The activation of x."""
    if kind == TANH:
        return hyperbolic_tangent(x)
    if kind == RELU:
        return x.where("<", 0.0, 0.0)
    return sigmoid(x) if kind == SIGMOID else x


def slope(kind: int, y: Lanes, flow: Lanes) -> Lanes:
    """`flow` times the activation's derivative, told from its value y."""
    if kind == TANH:
        return flow * (1.0 - y * y)
    if kind == RELU:
        return flow.where_positive(y)
    return flow * (y * (1.0 - y)) if kind == SIGMOID else flow
