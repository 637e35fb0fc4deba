"""What is compiled into the kernels of a cell, by the names of their arguments."""

from __future__ import annotations

from typing import Any

import torch

from impls.contract import ACTIVATIONS, CellSpec
from impls.pytorch.engines.tiles.buffers import sizes_of
from impls.pytorch.engines.tiles.kinds import KINDS, decision_of
from impls.pytorch.engines.tiles.tile_sizes import power_of_two, tile_sizes

RUN_ROWS, RUN_SPAN = 4, 32  # sequences of a program of `runs.py`, and steps
RUN_WARPS = 1  # so that its sums wait for no other
LAUNCH = ("num_warps", "num_stages", "enable_fp_fusion", "maxnreg")  # what a launch is told besides


def constants_of(
    spec: CellSpec,
    *,
    dtype: torch.dtype,
    shared: int,
    drawn: bool,
    keep: bool,
    every_step: bool,
    of_h: bool = False,
    of_gates: bool = False,
) -> dict[str, Any]:
    """All that any kernel of a cell is compiled with.

    Args:
        spec: the cell.
        dtype: of inputs and parameters.
        shared: bytes of shared memory that a program may have.
        drawn: whether the caller gives draws.
        keep: whether a gradient will be asked for.
        every_step: whether h is wanted at every step.
        of_h, of_gates: whether there are gradients of h at every step, and of the gates.
    """
    sizes = tile_sizes(spec, dtype=dtype, shared=shared)
    state = sizes_of(spec, width=sizes.width).state
    block = power_of_two(sizes.width, most=64)
    return {
        "KIND": KINDS[spec.kind.name],
        "ACTIVATION": ACTIVATIONS.index(spec.activation),
        "NORM": spec.layer_norm,
        "DECISION": decision_of(spec, drawn=drawn),
        "GATE_LAYER": spec.gate_layer % len(spec.units) if spec.skips else -1,
        "FEATURES": spec.input_size,
        "UNITS": spec.units,
        "WIDTH": sizes.width,
        "STATE": state,
        "KEEP": keep,
        "BY_TIME": keep or every_step,
        "OF_H": of_h,
        "OF_GATES": of_gates,
        "TILE": sizes.rows,
        "BLOCK_K": sizes.block_k,
        "BLOCK_G": sizes.block_g,
        "BLOCK_N": sizes.block_n,
        "BLOCK_U": sizes.block_u,
        "PRECISION": sizes.precision,
        "CACHE": sizes.cache,
        "ROWS": RUN_ROWS,
        "SPAN": RUN_SPAN,
        "BLOCK": block,
        "BLOCKS": -(-(state if spec.skips else sizes.width) // block),
        "num_warps": sizes.warps,
        "num_stages": sizes.stages,
        "maxnreg": 255,
        "enable_fp_fusion": False,  # operations of the reference, each rounded as there
    }


def constants_for(kernel: Any, constants: dict[str, Any]) -> dict[str, Any]:
    """Those of them that one kernel takes, and how it is launched."""
    taken = {name: value for name, value in constants.items() if name in kernel.arg_names or name in LAUNCH}
    return taken | ({"num_warps": RUN_WARPS} if "SPAN" in taken else {})
