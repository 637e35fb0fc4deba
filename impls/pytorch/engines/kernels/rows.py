"""What kernels do with one row of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from impls.pytorch.engines.kernels.compiled import compiled

_LINE = 64  # bytes that the cache takes at once


@compiled()
def copy(source, target):
    """Puts a row of as many numbers as the target has into it."""
    for index in range(target.size):
        target[index] = source[index]


@compiled()
def add(source, target):
    """Adds a row."""
    for index in range(source.size):
        target[index] += source[index]


def _prefetch(write: bool) -> Any:
    """A request for the cache line at an address, as a function for compiled code."""

    @intrinsic
    def prefetch(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            near, data = word(3), word(1)
            builder.call(function, [builder.inttoptr(arguments[0], pointer), word(int(write)), near, data])
            return context.get_dummy_value()

        return types.void(types.uintp), generate

    return prefetch


_prefetch_to_read, _prefetch_to_write = _prefetch(False), _prefetch(True)


@njit(inline="always")
def expect(matrix, row, first, end, write):
    """Asks for part of a row that is soon read, or written; the memory works while something else is computed."""
    start = matrix.ctypes.data + np.uintp((row * matrix.shape[1] + first) * matrix.itemsize)
    for at in range(0, (end - first) * matrix.itemsize, _LINE):
        if write:
            _prefetch_to_write(start + np.uintp(at))
        else:
            _prefetch_to_read(start + np.uintp(at))
