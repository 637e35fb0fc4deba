"""The activations, and their slopes from what they gave."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.kinds import IDENTITY, RELU, SIGMOID


@triton.jit
def sigmoid(x):
    """`σ(x)`."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):
    """The hyperbolic tangent, within 2e-7 in float32: near 0, where the difference cancels, Cephes' polynomial."""
    decay = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - decay) / (1.0 + decay)
    far = tl.where(x < 0.0, -far, far)
    if x.dtype == tl.float64:
        return far
    else:
        z = x * x
        slope = ((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z
        near = ((slope + 1.33314422036e-1) * z - 3.33332819422e-1) * z * x + x
        return tl.where(tl.abs(x) < 0.625, near, far)


@triton.jit
def activate(x, ACTIVATION: tl.constexpr):
    """`φ(x)`; NaN stays NaN."""
    if ACTIVATION == RELU:
        return tl.where(x < 0.0, 0.0, x)
    elif ACTIVATION == SIGMOID:
        return sigmoid(x)
    elif ACTIVATION == IDENTITY:
        return x
    else:
        return tanh(x)


@triton.jit
def slope(y, ACTIVATION: tl.constexpr):
    """`φ'` where `φ` gave `y`."""
    if ACTIVATION == RELU:
        return tl.where(y > 0.0, 1.0, 0.0).to(y.dtype)
    elif ACTIVATION == SIGMOID:
        return y * (1.0 - y)
    elif ACTIVATION == IDENTITY:
        return tl.full(y.shape, 1.0, y.dtype)
    else:
        return 1.0 - y * y
