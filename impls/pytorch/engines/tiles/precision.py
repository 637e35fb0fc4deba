"""What kernels compute in: the type of the arrays they are given, and operands of products rounded below it."""

from __future__ import annotations

import triton
import triton.language as tl

# The last bit of a float32 that an operand keeps.
LAST_OF_TF32, LAST_OF_BFLOAT16 = tl.constexpr(1 << 13), tl.constexpr(1 << 16)


@triton.jit
def zeros(like, array):
    """Zeros of the shape of `like` and of the type that `array` points to."""
    return tl.zeros(like.shape, array.dtype.element_ty)


@triton.jit
def nearest(values, LAST: tl.constexpr):
    """Numbers in float32 without the bits below `LAST`, to nearest, ties to even; NaN stays."""
    bits = values.to(tl.int32, bitcast=True)
    raised = bits + (LAST // 2 - 1) + ((bits & LAST) != 0).to(tl.int32)
    return tl.where(values == values, (raised & -LAST).to(tl.float32, bitcast=True), values)


@triton.jit
def operand(values, PRECISION: tl.constexpr):
    """What a product at a precision of `tile_sizes.py` multiplies, in the type that it is given.

    What has no bits below TF32's a card multiplies as it is, whether it rounds in its own way or drops them.
    """
    if PRECISION == "bfloat16":
        return nearest(values.to(tl.float32), LAST_OF_BFLOAT16).to(values.dtype)
    elif PRECISION == "tf32":
        return nearest(values.to(tl.float32), LAST_OF_TF32).to(values.dtype)
    else:
        return values
