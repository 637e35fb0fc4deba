"""How work is cut: sequences a program, blocks of a product, threads; chosen on paper, see `docs/engines.md`."""

from __future__ import annotations

import sys
from typing import NamedTuple

import torch

from impls.contract import CellSpec

FEW = 4  # so deep a product is cheaper as a sum of element-wise ones
_PANEL = 16  # what widths are padded to: the least that tensor cores multiply
# Bytes of matrices that stay in the first cache of an H100's multiprocessor: 256 KB, less 64 of shared memory for the
# blocks on their way, less what a round reads and writes besides.
MOST_RESIDENT = 160 * 1024
LEAST_SHARED = 99 * 1024  # bytes of shared memory a program may have, of the cards from 8.0 on that have the least
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
        precision: of products: `ieee`, as they are; `tf32x3`, three of tensor cores that together keep float32;
            `tf32` and `bfloat16`, of operands that are rounded to these.
        cache: where a round's matrices are kept for the next one: on the multiprocessor where all of them have room,
            `.ca`; else they stream from L2, `.cg`, and push nothing else out.
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
    cache: str


def tile_sizes(spec: CellSpec, *, dtype: torch.dtype, shared: int) -> TileSizes:
    """The sizes for a cell in a type, where a program may have so many bytes of shared memory.

    A product that is a single block deep takes a second set of blocks beside those of the products around it; where
    both have no room, fewer are on their way.
    """
    width = padded_width(spec)
    power = 1 << (width - 1).bit_length()
    single = dtype == torch.float32  # numbers of twice the size take twice the room
    precision = precision_of(spec, dtype=dtype)
    size = 2 if single and precision == "bfloat16" else dtype.itemsize  # of a matrix's elements
    rows_of_matrices = sum(2 * width if layer else spec.input_size + width for layer in range(len(spec.units)))
    resident = rows_of_matrices * len(spec.kind.gates) * width * size <= MOST_RESIDENT
    rows = block_k = 16
    block_g = min(4 * power, 256 if single else 128)
    stages = 4 if single else 2
    sets = 2 if FEW < spec.input_size <= block_k else 1
    while stages > 2 and sets * (stages - 1) * block_k * (rows * dtype.itemsize + block_g * size) > shared:
        stages -= 1
    return TileSizes(
        width=width,
        rows=rows,
        block_k=block_k,
        block_g=block_g,
        block_n=min(power, 128 if single else 64),
        block_u=min(power, 64),
        warps=8 if power >= 64 else 4,
        stages=stages,
        precision=precision,
        cache=".ca" if resident else ".cg",
    )


def precision_of(spec: CellSpec, *, dtype: torch.dtype) -> str:
    """How kernels multiply for a cell's precision; see `TileSizes`."""
    if spec.precision == "bfloat16":
        return "bfloat16"
    if dtype != torch.float32:
        return "ieee"
    return "tf32x3" if spec.precision == "float32" else "tf32"


def padded_width(spec: CellSpec) -> int:
    """The padded units of any layer."""
    return -(-max(spec.units) // _PANEL) * _PANEL


def shared_of(device: torch.device) -> int:
    """Bytes of shared memory that a program may have on a device; in the interpreter, on the CPU, nothing bounds it."""
    if device.type != "cuda":
        return sys.maxsize
    return int(getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", LEAST_SHARED))


def power_of_two(size: int, *, most: int) -> int:
    """The smallest power of two from `size` on, or `most`."""
    return min(1 << (size - 1).bit_length(), most)
