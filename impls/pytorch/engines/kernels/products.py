"""Matrix products inside compiled kernels: weights packed once, then multiplied without a library call.

A library packs the weights anew at every call, which at a few rows costs as much as the product, and brings its own
threads. Here `pack` lays the right-hand matrix out in panels of `panel_width` columns, and `multiply` walks over
tiles of a few rows by one or two panels whose sums stay in vector registers. The tile is written in LLVM IR, since the
compiler does not find it in a scalar loop.

Matrices are passed as addresses with strides in elements, so that any slice can be read and written in place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from impls.pytorch.engines.kernels.compiled import compiled
from impls.pytorch.engines.kernels.lanes import fused, spread, vector_bytes

WIDTH_BYTES = 64  # of a panel: what a cache line holds, and the least that sizes are padded to
PANEL_VECTORS = WIDTH_BYTES // vector_bytes()
# Two vectors side by side for every number that is spread: twelve rows fill 24 of AVX-512's 32 registers with sums,
# six rows 12 of the 16 that others have. Two rows alone would wait for their own sums.
TILE_PANELS = 2 // PANEL_VECTORS
TILE_ROWS = (12, 8, 6, 4, 3, 2, 1) if PANEL_VECTORS == 1 else (6, 4, 3, 2, 1)
DEPTH_BLOCK = 256  # products deeper than this are cut, so that a tile's panels stay in the nearest cache


def panel_width(dtype: Any) -> int:
    """Columns of one panel, to which padded widths are rounded up."""
    return WIDTH_BYTES // int(np.dtype(dtype).itemsize)


class _Operands(NamedTuple):
    """What a tile is made from, as values of LLVM: pointers, strides and sizes in elements."""

    left: Any
    panel: Any
    result: Any
    row_stride: Any
    column_stride: Any
    panel_stride: Any
    result_stride: Any
    depth: Any
    add: Any
    alignment: int  # of an element, in bytes


def _opaque(builder: Any, value: Any) -> Any:
    """The same value, of which the compiler knows nothing."""
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], side_effect=False)


def _emit_tile(builder: Any, size: int, panels: int, operands: _Operands) -> None:
    """Writes the product of `size` rows by some panels."""
    element, alignment = operands.left.type.pointee, operands.alignment
    lanes = vector_bytes() // alignment
    vector, word = ir.VectorType(element, lanes), operands.depth.type
    zeros = ir.Constant(vector, [0.0] * lanes)
    columns = [(panel, part * lanes) for panel in range(panels) for part in range(PANEL_VECTORS)]

    def at(pointer: Any, *terms: tuple[Any, int]) -> Any:
        """The address of a vector: the pointer moved by multiples of strides."""
        for stride, times in terms:
            pointer = builder.gep(pointer, [builder.mul(stride, word(times))])
        return builder.bitcast(pointer, vector.as_pointer())

    def load(pointer: Any) -> Any:
        loaded = builder.load(pointer)
        loaded.align = alignment
        return loaded

    def store(value: Any, pointer: Any) -> None:
        builder.store(value, pointer).align = alignment

    sums = {(row, column): cgutils.alloca_once_value(builder, zeros) for row in range(size) for column in columns}
    for total in sums.values():
        builder.store(zeros, total)
    # Three rows hang on one pointer, whose way is hidden: of twelve addresses at equal distances the compiler would
    # make a chain of additions, each waiting for the one before, that takes longer than the sums.
    leads = {}
    for row in range(0, size, 3):
        lead = _opaque(builder, builder.gep(operands.left, [builder.mul(operands.row_stride, word(row))]))
        leads[row] = cgutils.alloca_once_value(builder, lead)
        builder.store(lead, leads[row])
    with cgutils.for_range(builder, operands.depth) as loop:
        line = builder.gep(operands.panel, [builder.mul(loop.index, word(PANEL_VECTORS * lanes))])
        taken = {
            (panel, part): load(at(line, (operands.panel_stride, panel), (word(1), part))) for panel, part in columns
        }
        for row in range(size):
            lead = builder.load(leads[row // 3 * 3])
            number = builder.load(builder.gep(lead, [builder.mul(operands.row_stride, word(row % 3))]))
            several = spread(builder, number, vector)
            for column in columns:
                total = sums[row, column]
                builder.store(fused(builder, several, taken[column], builder.load(total)), total)
        for lead in leads.values():
            builder.store(_opaque(builder, builder.gep(builder.load(lead), [operands.column_stride])), lead)
    for (row, (panel, part)), total in sums.items():
        place = at(operands.result, (operands.result_stride, row), (word(1), panel * PANEL_VECTORS * lanes + part))
        with builder.if_else(operands.add) as (then, otherwise):
            with then:
                store(builder.fadd(load(place), builder.load(total)), place)
            with otherwise:
                store(builder.load(total), place)


def _tile(panels: int) -> Any:
    """A product of some rows, one of `TILE_ROWS`, by neighbouring panels, as a function for compiled code.

    Its arguments: the number of rows; an array of the element type; addresses of the left rows, the first panel and the
    result; strides, in elements, of the left matrix (row, column), of the panels and of the result's rows; the depth;
    whether to add to the result.
    """

    @intrinsic
    def tile(
        typingctx: Any,
        rows: Any,
        like: Any,
        left: Any,
        panel: Any,
        result: Any,
        row_stride: Any,
        column_stride: Any,
        panel_stride: Any,
        result_stride: Any,
        depth: Any,
        add: Any,
    ) -> Any:
        places, strides = (types.uintp,) * 3, (types.intp,) * 4
        signature = types.void(types.intp, like, *places, *strides, types.intp, types.boolean)

        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            rows, _, *addresses = arguments[:5]
            element = context.get_value_type(like.dtype)
            pointers = [builder.inttoptr(address, element.as_pointer()) for address in addresses]
            add = context.cast(builder, arguments[-1], types.boolean, types.boolean)
            operands = _Operands(*pointers, *arguments[5:10], add, like.dtype.bitwidth // 8)
            for size in TILE_ROWS:
                with builder.if_then(builder.icmp_signed("==", rows, rows.type(size))):
                    _emit_tile(builder, size, panels, operands)
            return context.get_dummy_value()

        return signature, generate

    return tile


_single_tile, _wide_tile = _tile(1), _tile(TILE_PANELS)


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
        number = 0
        while number < columns // width:
            wide = number + TILE_PANELS <= columns // width
            panel = packed_at + np.uintp((number * depth + start) * width * size)
            row = 0
            while row < rows:
                many = _tile_rows(rows - row)
                a = left_at + np.uintp((row * row_stride + start * column_stride) * size)
                c = result_at + np.uintp((row * result_stride + number * width) * size)
                if wide:
                    _wide_tile(
                        many, left, a, panel, c, row_stride, column_stride, depth * width, result_stride, block, adds
                    )
                else:
                    _single_tile(
                        many, left, a, panel, c, row_stride, column_stride, depth * width, result_stride, block, adds
                    )
                row += many
            number += TILE_PANELS if wide else 1


@njit(inline="always")
def _tile_rows(rows):
    """Rows of the next tile where `rows` are left."""
    if rows == 8 and PANEL_VECTORS > 1:
        return 4  # twice, not six rows and two
    for size in TILE_ROWS:
        if rows >= size:
            return size
    return 0


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
