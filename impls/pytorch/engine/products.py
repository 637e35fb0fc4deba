"""Matrix products inside compiled kernels: weights packed once, then multiplied without a library call.

A library packs the weights anew at every call, which at a few rows costs as much as the product, and brings its own
threads. Here `pack` lays the right-hand matrix out in panels of `panel_width` columns, and `multiply` walks over
tiles of a few rows by one panel whose sums stay in vector registers. The tile is written in LLVM IR, since the
compiler does not find it in a scalar loop.

Matrices are passed as addresses with strides in elements, so that any slice can be read and written in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from impls.pytorch.engine.compiled import compiled
from impls.pytorch.engine.lanes import spread, vector_bytes

WIDTH_BYTES = 64  # of a panel: what a cache line holds, and the least that sizes are padded to
TILE_VECTORS = WIDTH_BYTES // vector_bytes()
# Twelve sums keep the multipliers busy: twelve rows of one vector, or six of two.
LARGE_TILE = TILE_VECTORS == 1
DEPTH_BLOCK = 256  # products deeper than this are cut, so that a panel stays in the nearest cache


def panel_width(dtype: Any) -> int:
    """Columns of one panel, to which padded widths are rounded up."""
    return WIDTH_BYTES // int(np.dtype(dtype).itemsize)


def _tile(rows: int) -> Any:
    """A product of `rows` rows by one panel, as a function for compiled code.

    Its arguments: an array of the element type; addresses of the left rows, the panel and the result; strides, in
    elements, of the left matrix (row, column) and of the result's rows; the depth; whether to add to the result.
    """

    @intrinsic
    def tile(
        typingctx: Any,
        like: Any,
        left: Any,
        panel: Any,
        result: Any,
        row_stride: Any,
        column_stride: Any,
        result_stride: Any,
        depth: Any,
        add: Any,
    ) -> Any:
        signature = types.void(
            like,
            types.uintp,
            types.uintp,
            types.uintp,
            types.intp,
            types.intp,
            types.intp,
            types.intp,
            types.boolean,
        )

        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            element = context.get_value_type(like.dtype)
            lanes = vector_bytes() // (like.dtype.bitwidth // 8)
            vector = ir.VectorType(element, lanes)
            word = context.get_value_type(types.intp)
            _, left, panel, result, row_stride, column_stride, result_stride, depth, add = arguments
            left = builder.inttoptr(left, element.as_pointer())
            panel = builder.inttoptr(panel, element.as_pointer())
            result = builder.inttoptr(result, element.as_pointer())
            add = context.cast(builder, add, types.boolean, types.boolean)

            def load(pointer: Any) -> Any:
                loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
                loaded.align = like.dtype.bitwidth // 8
                return loaded

            left_rows = [builder.gep(left, [builder.mul(row_stride, word(row))]) for row in range(rows)]
            sums = [
                cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * lanes))
                for _ in range(rows * TILE_VECTORS)
            ]
            for total in sums:
                builder.store(ir.Constant(vector, [0.0] * lanes), total)
            with cgutils.for_range(builder, depth) as loop:
                at = builder.mul(loop.index, word(TILE_VECTORS * lanes))
                columns = [
                    load(builder.gep(panel, [builder.add(at, word(lanes * index))])) for index in range(TILE_VECTORS)
                ]
                at = builder.mul(loop.index, column_stride)
                for row in range(rows):
                    value = spread(builder, builder.load(builder.gep(left_rows[row], [at])), vector)
                    for index, column in enumerate(columns):
                        total = sums[row * TILE_VECTORS + index]
                        product = builder.fmul(value, column, flags=("contract",))
                        builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for row in range(rows):
                for index in range(TILE_VECTORS):
                    at = builder.add(builder.mul(result_stride, word(row)), word(lanes * index))
                    pointer = builder.bitcast(builder.gep(result, [at]), vector.as_pointer())
                    value = builder.load(sums[row * TILE_VECTORS + index])
                    with builder.if_else(add) as (then, otherwise):
                        with then:
                            old = builder.load(pointer)
                            old.align = like.dtype.bitwidth // 8
                            stored = builder.store(builder.fadd(old, value), pointer)
                            stored.align = like.dtype.bitwidth // 8
                        with otherwise:
                            stored = builder.store(value, pointer)
                            stored.align = like.dtype.bitwidth // 8
            return context.get_dummy_value()

        return signature, generate

    return tile


_tile_1, _tile_2, _tile_3, _tile_4, _tile_6, _tile_12 = (_tile(rows) for rows in (1, 2, 3, 4, 6, 12))


@intrinsic
def _keep_apart(typingctx: Any) -> Any:
    """Marks the function it stands in as never to be copied into its callers, which would be compiled for minutes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@njit(inline="always")
def multiply(
    left, left_row, left_column, transposed, rows, depth, packed, first, columns, result, result_row, result_column, add
):
    """`result[rows, columns] (+)= left[rows, depth] @ packed`.

    Args:
        left, left_row, left_column: a matrix, and where in it the left operand starts.
        transposed: the left operand is read `[depth, rows]`.
        rows, depth: the size of the left operand.
        packed, first: a flat array, and where in it the right operand starts, packed at this depth.
        columns: columns of the product, a multiple of the panel width.
        result, result_row, result_column: a matrix, and where in it the product starts.
        add: add to the result instead of replacing it.
    """
    # Types without literal values, so that there is one compiled product for each element type.
    _multiply(
        left,
        np.int64(left_row),
        np.int64(left_column),
        np.bool_(transposed),
        np.int64(rows),
        np.int64(depth),
        packed,
        np.int64(first),
        np.int64(columns),
        result,
        np.int64(result_row),
        np.int64(result_column),
        np.bool_(add),
    )


@compiled()
def _multiply(
    left, left_row, left_column, transposed, rows, depth, packed, first, columns, result, result_row, result_column, add
):
    _keep_apart()
    size = left.itemsize
    width = WIDTH_BYTES // size
    stride = left.shape[1]
    row_stride, column_stride = (1, stride) if transposed else (stride, 1)
    left_at = left.ctypes.data + np.uintp((left_row * stride + left_column) * size)
    result_stride = result.shape[1]
    result_at = result.ctypes.data + np.uintp((result_row * result_stride + result_column) * size)
    packed_at = packed.ctypes.data + np.uintp(first * size)
    for start in range(0, depth, DEPTH_BLOCK):
        block = min(DEPTH_BLOCK, depth - start)
        adds = add or start > 0
        for number in range(columns // width):
            panel = packed_at + np.uintp((number * depth + start) * width * size)
            row = 0
            while row < rows:
                many = rows - row
                a = left_at + np.uintp((row * row_stride + start * column_stride) * size)
                c = result_at + np.uintp((row * result_stride + number * width) * size)
                if LARGE_TILE and many >= 12:
                    many = 12
                    _tile_12(left, a, panel, c, row_stride, column_stride, result_stride, block, adds)
                elif many >= 6:
                    many = 6
                    _tile_6(left, a, panel, c, row_stride, column_stride, result_stride, block, adds)
                elif many >= 4:
                    many = 4
                    _tile_4(left, a, panel, c, row_stride, column_stride, result_stride, block, adds)
                elif many == 3:
                    _tile_3(left, a, panel, c, row_stride, column_stride, result_stride, block, adds)
                elif many == 2:
                    _tile_2(left, a, panel, c, row_stride, column_stride, result_stride, block, adds)
                else:
                    _tile_1(left, a, panel, c, row_stride, column_stride, result_stride, block, adds)
                row += many


@compiled(from_python=True)
def pack(source, row, column, depth, columns, packed, first):
    """Packs `source[row:row + depth, column:column + columns]` into the flat `packed` from `first` on.

    `columns` is a multiple of the panel width.
    """
    width = WIDTH_BYTES // source.itemsize
    for number in range(columns // width):
        start = first + number * depth * width
        for at in range(depth):
            line = source[row + at, column + number * width : column + (number + 1) * width]
            panel = packed[start + at * width : start + (at + 1) * width]
            for index in range(width):
                panel[index] = line[index]
