"""Forward on tensors: buffers, the kernels `forward.py` and `skips.py`, and what comes out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.tiles.buffers import (
    Tape,
    apart,
    empty_tape,
    following_updates,
    leaves_of,
    padded_leaves,
    sizes_of,
)
from impls.pytorch.engines.tiles.constants import constants_for, constants_of
from impls.pytorch.engines.tiles.entries import ends_of, entries_of
from impls.pytorch.engines.tiles.forward import forward_kernel
from impls.pytorch.engines.tiles.packing import pack
from impls.pytorch.engines.tiles.skips import skips_kernel
from impls.pytorch.engines.tiles.tile_sizes import MOST_PROGRAMS, shared_of


class Forward(NamedTuple):
    """h `[batch, time or 0, units]`, gates `[batch, time]`, leaves and scalars of the final state, the tape."""

    h: Tensor
    gates: Tensor
    final: list[Tensor]
    tape: Tape


def run_forward(
    spec: CellSpec,
    inputs: Tensor,
    lengths: Tensor | None,
    draws: Tensor | None,
    tensors: list[Tensor],
    *,
    keep: bool,
    every_step: bool,
) -> Forward:
    """Runs sequences `[batch, time, features]`; arguments as in `operator.unroll`."""
    batch, steps, _ = inputs.shape
    drawn = draws is not None
    shared = shared_of(inputs.device)
    constants = constants_of(spec, dtype=inputs.dtype, shared=shared, drawn=drawn, keep=keep, every_step=every_step)
    width, rows = constants["WIDTH"], constants["TILE"]
    entries = entries_of(spec, tensors)
    packed = pack(spec, entries.parameters, width=width, precision=constants["PRECISION"], backward=False)
    by_time = constants["BY_TIME"]
    whole = lengths is None and (spec.skips or not drawn)
    tape = empty_tape(spec, batch=batch, steps=steps, width=width, keep=keep, by_time=by_time, whole=whole, like=inputs)
    tape.state[0] = padded_leaves(entries.leaves, width=width)
    held = inputs.new_empty(steps + 1 if keep and spec.skips else 0, batch, sizes_of(spec, width=width).early)
    inputs, ends = inputs.contiguous(), ends_of(inputs, lengths)
    gates = inputs.new_zeros(batch, steps)
    last_probability, last_stored = torch.empty_like(entries.probability), torch.empty_like(entries.stored)
    parts = (len(spec.kind.gates) + 2) * width
    of_cell = packed.weights, packed.biases, packed.norms, packed.gate_weights, packed.gate_bias
    with torch.cuda.device_of(inputs):  # type: ignore[no-untyped-call]
        forward_kernel[(-(-batch // rows),)](
            inputs,
            ends,
            inputs if draws is None else draws.contiguous(),
            *of_cell,
            tape.state,
            tape.gates,
            held,
            tape.pre,
            inputs.new_empty(batch, parts),
            entries.probability,
            entries.stored,
            tape.proposed,
            tape.cumulative,
            gates,
            tape.last,
            last_probability,
            last_stored,
            batch,
            steps,
            **constants_for(forward_kernel, constants),
        )
        slots = torch.arange(1, steps + 1, device=inputs.device)
        after = torch.where(gates != 0, slots, torch.zeros_like(slots)).cummax(dim=1).values
        if keep:
            tape.before[:, 1:] = after[:, :-1]
        if keep and spec.skips:
            programs = min(-(-batch * steps // rows), MOST_PROGRAMS)
            skips_kernel[(programs,)](
                inputs,
                ends,
                *of_cell,
                tape.state,
                tape.gates,
                held,
                tape.pre,
                inputs.new_empty(programs * rows, parts),
                tape.proposed,
                gates,
                tape.before,
                following_updates(gates),
                batch,
                steps,
                **constants_for(skips_kernel, constants),
            )
    sequences = torch.arange(batch, device=inputs.device)
    final = apart(leaves_of(spec, tape.state[tape.last.long(), sequences], width=width))
    if spec.skips:
        final += [last_probability, last_stored]
    h = inputs.new_empty(batch, 0, spec.units[-1])
    if every_step:
        h = leaves_of(spec, tape.state, width=width)[-1][after, sequences[:, None]]
    return Forward(h, gates, final, tape)
