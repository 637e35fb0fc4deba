"""Back on tensors: the kernels `runs.py` and `backward.py`, then the products over all steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.tiles.backward import backward_kernel
from impls.pytorch.engines.tiles.buffers import Tape, apart, following_updates, leaves_of, sizes_of
from impls.pytorch.engines.tiles.constants import constants_for, constants_of
from impls.pytorch.engines.tiles.entries import ends_of, entries_of
from impls.pytorch.engines.tiles.packing import pack
from impls.pytorch.engines.tiles.runs import runs_kernel
from impls.pytorch.engines.tiles.tile_sizes import shared_of
from impls.pytorch.engines.tiles.weight_gradients import Rounds, from_rounds


class Flows(NamedTuple):
    """Gradients of what forward gives, each of which may be missing; `final` in the order of its leaves and scalars."""

    h: Tensor | None
    gates: Tensor | None
    final: list[Tensor | None]


def run_backward(
    spec: CellSpec,
    inputs: Tensor,
    lengths: Tensor | None,
    tensors: list[Tensor],
    gates: Tensor,
    tape: Tape,
    flows: Flows,
    *,
    scheduled: bool,
    of_inputs: bool,
) -> tuple[Tensor | None, list[Tensor]]:
    """The gradients of the inputs, where they are wanted, and of all `tensors` that went into `run_forward`.

    `scheduled` says whether a plain cell was given draws.
    """
    batch, steps, _ = inputs.shape
    constants = constants_of(
        spec,
        dtype=inputs.dtype,
        shared=shared_of(inputs.device),
        drawn=scheduled,
        keep=True,
        every_step=True,
        of_h=flows.h is not None,
        of_gates=flows.gates is not None,
    )
    width, state, blocks = constants["WIDTH"], constants["STATE"], constants["BLOCKS"]
    entries, ends = entries_of(spec, tensors), ends_of(inputs, lengths)
    packed = pack(spec, entries.parameters, width=width, precision=constants["PRECISION"], backward=True)
    leaves = len(entries.leaves)
    flow = inputs.new_zeros(2, batch, state)
    for place, given in zip(leaves_of(spec, flow[0], width=width), flows.final[:leaves], strict=True):
        if given is not None:
            place.copy_(given)
    of_scalars = [inputs.new_zeros(batch, 1) if given is None else given.contiguous() for given in flows.final[leaves:]]
    of_probability, of_stored = of_scalars or [inputs.new_zeros(batch, 1)] * 2
    of_h = inputs if flows.h is None else flows.h
    of_gates = inputs if flows.gates is None else flows.gates.contiguous()
    slots = steps + 1 if spec.skips else 0
    runs = (
        inputs.new_empty(slots, batch, 2, state),
        inputs.new_empty(slots, batch, blocks, 2),
        inputs.new_empty(slots, batch, 6),
        inputs.new_empty(steps + 1 if flows.h is not None else 0, batch, width),
    )
    sizes = sizes_of(spec, width=width)
    rounds = Rounds(
        changes=inputs.new_zeros(steps, batch, sizes.gates),
        normed=inputs.new_zeros(steps if spec.layer_norm else 0, batch, sizes.early),
        logits=inputs.new_zeros(batch, steps),
    )
    of_state = inputs.new_empty(batch, state)
    of_first = [torch.empty_like(entries.probability), torch.empty_like(entries.stored)]
    with torch.cuda.device_of(inputs):  # type: ignore[no-untyped-call]
        if spec.skips or flows.h is not None:
            spans = max(1, -(-steps // constants["SPAN"]))
            runs_kernel[(-(-batch // constants["ROWS"]), blocks, spans)](
                ends,
                tape.state,
                tape.proposed,
                tape.cumulative,
                gates,
                tape.before,
                following_updates(gates),
                entries.probability,
                entries.stored,
                of_h,
                of_gates,
                *runs,
                batch,
                steps,
                *of_h.stride(),
                **constants_for(runs_kernel, constants),
            )
        backward_kernel[(-(-batch // constants["TILE"]),)](
            packed.turned,
            packed.norms,
            packed.gate_weights,
            tape.state,
            tape.gates,
            tape.pre,
            tape.proposed,
            tape.cumulative,
            gates,
            tape.before,
            tape.last,
            entries.probability,
            entries.stored,
            flow,
            *runs,
            of_gates,
            rounds.changes,
            rounds.normed,
            inputs.new_empty(batch, 3 * width),
            rounds.logits,
            of_probability,
            of_stored,
            of_state,
            *of_first,
            batch,
            steps,
            **constants_for(backward_kernel, constants),
        )
    gradients, found = from_rounds(spec, entries.parameters, inputs, ends, tape, rounds, width=width, wanted=of_inputs)
    of_leaves = apart(leaves_of(spec, of_state, width=width))
    return found, [*of_leaves, *(of_first if spec.skips else []), *(gradients[name] for name in entries.parameters)]
