"""Denormal numbers are taken as zero inside the kernels, as TensorFlow takes them everywhere.

A gradient that fades over hundreds of steps ends in numbers below the smallest normal one, 1e-38 in float32. Some
processors need a hundred times as long for each of them: on an Intel Xeon a training step of 784 time steps took 6.7 s,
without them 0.4 s.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_HAS_MXCSR = platform.machine().lower() in ("x86_64", "amd64")
_BOTH_BITS = 0x8040  # of MXCSR: results are flushed to zero, operands are taken as zero


def _exchange(builder: Any, change: Any) -> Any:
    """Puts `change(old)` into the control register of this thread; returns the old value."""
    word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    place = cgutils.alloca_once(builder, word)
    address = builder.bitcast(place, pointer)
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr"), [address])
    old = builder.load(place)
    builder.store(change(old), place)
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr"), [address])
    return old


@intrinsic
def denormals_to_zero(typingctx: Any) -> Any:
    """Takes denormals as zero on this thread from here on; returns what `denormals_as_before` needs."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not _HAS_MXCSR:
            return ir.Constant(ir.IntType(32), 0)
        return _exchange(builder, lambda old: builder.or_(old, ir.Constant(ir.IntType(32), _BOTH_BITS)))

    return types.uint32(), generate


@intrinsic
def denormals_as_before(typingctx: Any, before: Any) -> Any:
    """Undoes `denormals_to_zero`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _HAS_MXCSR:
            _exchange(builder, lambda _: arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint32), generate
