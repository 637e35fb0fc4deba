"""The product of a few rows with a matrix, block by block of its depth."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles import tile_sizes
from impls.pytorch.engines.tiles.precision import operand

FEW = tl.constexpr(tile_sizes.FEW)


@triton.jit
def product(
    total,
    rows,
    rows_at,
    live,
    DEPTH: tl.constexpr,
    matrix,
    stride,
    columns,
    width,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
    CACHE: tl.constexpr,
):
    """`total + rows @ matrix`, of some of the matrix's columns, in the type of `total`.

    Args:
        total: `[rows, columns]`.
        rows, rows_at, live: where rows lie: their first elements `[rows]`, and which are read; the others are 0.
        DEPTH: elements of a row.
        matrix, stride: its first element, and the elements from a row of it to the next; its numbers are rounded
            already, and in bfloat16 may be of that type.
        columns, width: which columns; those from `width` on are taken for 0.
        BLOCK_K: depth of a block.
        PRECISION: see `tile_sizes.py`.
        CACHE: what is to keep the matrix at hand: `.ca`, the multiprocessor's own memory too, or `.cg`, the card's L2.
    """
    if DEPTH <= FEW:
        for PLACE in tl.static_range(DEPTH):
            left = operand(tl.load(rows + rows_at + PLACE, mask=live, other=0.0), PRECISION)
            right = tl.load(matrix + PLACE * stride + columns, mask=columns < width, other=0.0)
            total += left[:, None] * right.to(total.dtype)[None, :]
    else:
        HOW: tl.constexpr = "ieee" if PRECISION == "bfloat16" else PRECISION  # whose products are exact
        for start in range(0, DEPTH, BLOCK_K):
            along = start + tl.arange(0, BLOCK_K)
            within = along < DEPTH
            left = tl.load(rows + rows_at[:, None] + along[None, :], mask=live[:, None] & within[None, :], other=0.0)
            left = operand(left, PRECISION).to(matrix.dtype.element_ty)
            here = matrix + along[:, None] * stride + columns[None, :]
            right = tl.load(here, mask=within[:, None] & (columns < width)[None, :], other=0.0, cache_modifier=CACHE)
            total = tl.dot(left, right, total, input_precision=HOW, out_dtype=total.dtype)
    return total
