"""Zeros of the type that kernels compute in: that of the arrays they are given."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def zeros(like, array):
    """Zeros of the shape of `like` and of the type that `array` points to."""
    return tl.zeros(like.shape, array.dtype.element_ty)
