"""Activation functions inside compiled kernels, written so that the compiler can use vector instructions.

In float32 the exponential is a polynomial (within 2e-7 of the exact value, relative), since a call of the mathematical
library for each element costs as much as the products; in float64 it is the library's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from impls.pytorch.engine.compiled import FUSED, compiled

TANH, RELU, SIGMOID, IDENTITY = range(4)  # in the order of `impls.contract.ACTIVATIONS`

_LOG2_E = np.float32(1.0 / math.log(2.0))
_LN2_HIGH = np.float32(0.693359375)  # 9 bits of ln 2: its product with a small whole number is exact
_LN2_LOW = np.float32(math.log(2.0) - 0.693359375)
_LIMIT = np.float32(87.0)  # e^±87 is still a normal number
_ONE, _TWO, _TEN = np.float32(1.0), np.float32(2.0), np.float32(10.0)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1.0 / math.factorial(order)) for order in range(2, 8))


@intrinsic
def _round_to_whole(typingctx: Any, x: Any) -> Any:
    """The nearest whole number, as a float of the same type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [arguments[0].type]), arguments)

    return x(x), generate


@intrinsic
def _power_of_two(typingctx: Any, exponent: Any) -> Any:
    """`2^exponent` for a whole float32 in the range of normal numbers, by writing the exponent's bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        biased = builder.add(builder.fptosi(arguments[0], word), ir.Constant(word, 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(word, 23)), ir.FloatType())

    return types.float32(types.float32), generate


@intrinsic
def _clamp(typingctx: Any, x: Any, limit: Any) -> Any:
    """`x` between `−limit` and `limit`, as two selections; NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, high = arguments
        low = builder.fneg(high)
        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
        return builder.select(builder.fcmp_ordered(">", value, high), high, value)

    return x(x, x), generate


@njit(inline="always", **FUSED)
def _split(x):
    """`(e^r − 1, 2^k)` with `x = k ln 2 + r`, float32."""
    x = _clamp(x, _LIMIT)
    k = _round_to_whole(x * _LOG2_E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    return (series * r) * r + r, _power_of_two(k)


def sigmoid(x: Any) -> Any:
    """The logistic function."""
    raise NotImplementedError("for compiled code")


def hyperbolic_tangent(x: Any) -> Any:
    """`tanh`."""
    raise NotImplementedError("for compiled code")


@overload(sigmoid, jit_options=FUSED, inline="always")
def _sigmoid(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            small, scale = _split(-x)
            return _ONE / (_ONE + (scale * small + scale))

        return single

    def double(x: Any) -> Any:
        return 1.0 / (1.0 + math.exp(-x))

    return double


@overload(hyperbolic_tangent, jit_options=FUSED, inline="always")
def _hyperbolic_tangent(x: Any) -> Any:
    if x == types.float32:
        # From e^2x − 1, which is exact to rounding where x is small.
        def single(x: Any) -> Any:
            small, scale = _split(_TWO * _clamp(x, _TEN))
            above = scale * small + (scale - _ONE)
            return above / (above + _TWO)

        return single

    def double(x: Any) -> Any:
        return math.tanh(x)

    return double


@compiled(FUSED)
def apply_sigmoid(vector, bias):
    """Replaces every element by `σ(element + bias)`."""
    for index in range(vector.size):
        vector[index] = sigmoid(vector[index] + bias)


@compiled(FUSED)
def apply_activation(kind, vector):
    """Replaces every element by its activation."""
    zero = vector.dtype.type(0)
    if kind == TANH:
        for index in range(vector.size):
            vector[index] = hyperbolic_tangent(vector[index])
    elif kind == RELU:
        for index in range(vector.size):
            vector[index] = max(vector[index], zero)
    elif kind == SIGMOID:
        for index in range(vector.size):
            vector[index] = sigmoid(vector[index])


@compiled(FUSED)
def apply_derivative(kind, values, vector):
    """Multiplies every element by the activation's derivative, told from the activation's `values`."""
    zero, one = vector.dtype.type(0), vector.dtype.type(1)
    if kind == TANH:
        for index in range(vector.size):
            vector[index] *= one - values[index] * values[index]
    elif kind == RELU:
        for index in range(vector.size):
            vector[index] = vector[index] if values[index] > zero else zero
    elif kind == SIGMOID:
        for index in range(vector.size):
            vector[index] *= values[index] * (one - values[index])
