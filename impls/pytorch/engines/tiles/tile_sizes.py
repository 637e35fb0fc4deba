"""How work is cut: sequences a program, blocks of a product, threads; chosen on paper, see `docs/engines.md`."""

from __future__ import annotations

from typing import NamedTuple

import torch

from impls.contract import CellSpec

_PANEL = 16  # what widths are padded to: the least that tensor cores multiply
MOST_PROGRAMS = 528  # of the kernel whose programs take block after block: four a multiprocessor of an H100


class TileSizes(NamedTuple):
    """Sizes of a cell's kernels.

    Attributes:
        width: padded units of any layer.
        rows: sequences of a program, or skipped steps; the least that tensor cores multiply.
        block_k: depth of a block of a product.
        block_g, block_n: columns of a block, of products with all gates and of the others.
        block_u: units of a block of element-wise work.
        warps: of a program.
        stages: blocks of a product that are on their way at a time.
        precision: of products.
    """

    width: int
    rows: int
    block_k: int
    block_g: int
    block_n: int
    block_u: int
    warps: int
    stages: int
    precision: str


def tile_sizes(spec: CellSpec, *, dtype: torch.dtype) -> TileSizes:
    """The sizes for a cell in a type."""
    width = -(-max(spec.units) // _PANEL) * _PANEL
    power = 1 << (width - 1).bit_length()
    single = dtype == torch.float32  # numbers of twice the size take twice the room
    return TileSizes(
        width=width,
        rows=16,
        block_k=16,
        block_g=min(4 * power, 256 if single else 128),
        block_n=min(power, 128 if single else 64),
        block_u=min(power, 64),
        warps=8 if power >= 64 else 4,
        stages=4 if single else 2,
        precision="tf32x3" if single else "ieee",
    )


def power_of_two(size: int, *, most: int) -> int:
    """The smallest power of two from `size` on, or `most`."""
    return min(1 << (size - 1).bit_length(), most)
