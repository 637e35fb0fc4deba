"""The kernels as operators of PyTorch, which `torch.compile` and CUDA graphs take whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.first_order import first_order
from impls.pytorch.engines.tiles.backward_pass import Flows, run_backward
from impls.pytorch.engines.tiles.buffers import Tape, empty_tape
from impls.pytorch.engines.tiles.forward_pass import run_forward
from impls.pytorch.engines.tiles.tile_sizes import padded_width
from impls.pytorch.precision import in_own_precision

# Written out, since not every version of PyTorch reads the types of annotations that are text.
_CELL = (
    "str cell, int[] units, str activation, float forget_bias, bool layer_norm, str gate, int gate_layer, str precision"
)
_OPTIONS = ("cell", "units", "activation", "forget_bias", "layer_norm", "gate", "gate_layer", "precision")


def options_of(spec: CellSpec) -> list[Any]:
    """What an operator is told of a cell, in the order of its arguments."""
    return [list(spec.units) if name == "units" else getattr(spec, name) for name in _OPTIONS]


def _spec_of(inputs: Tensor, options: Sequence[Any]) -> CellSpec:
    """The cell of an operator's arguments."""
    named = dict(zip(_OPTIONS, options, strict=True)) | {"units": tuple(options[1])}
    return CellSpec(input_size=inputs.shape[2], initial_state="zeros", **named)


@torch.library.custom_op(
    "skiprnn::unroll",
    mutates_args=(),
    schema="(Tensor inputs, Tensor? lengths, Tensor? draws, Tensor[] tensors, bool keep, bool every_step, "
    f"{_CELL}) -> Tensor[]",
)
def unroll(
    inputs: Tensor,
    lengths: Tensor | None,
    draws: Tensor | None,
    tensors: list[Tensor],
    keep: bool,
    every_step: bool,
    cell: str,
    units: list[int],
    activation: str,
    forget_bias: float,
    layer_norm: bool,
    gate: str,
    gate_layer: int,
    precision: str,
) -> list[Tensor]:
    """Runs sequences; returns h, the gates, the leaves and scalars of the final state, and the tape.

    Args:
        inputs: `[batch, time, features]`.
        lengths: `[batch]`, or None.
        draws: `[batch, time]`: `gate_noise` of a skip cell, `updates` of a plain one, or None.
        tensors: the state's leaves, the gate's two scalars, and the parameters in canonical order.
        keep: whether a gradient will be asked for.
        every_step: whether h is wanted at every step, else at none.
        cell, units, activation, forget_bias, layer_norm, gate, gate_layer, precision: as in `CellSpec`.
    """
    spec = _spec_of(inputs, (cell, units, activation, forget_bias, layer_norm, gate, gate_layer, precision))
    found = run_forward(spec, inputs, lengths, draws, tensors, keep=keep, every_step=every_step)
    return [found.h, found.gates.unsqueeze(2), *found.final, *found.tape]


@unroll.register_fake
def _(
    inputs: Tensor,
    lengths: Tensor | None,
    draws: Tensor | None,
    tensors: list[Tensor],
    keep: bool,
    every_step: bool,
    *options: Any,
) -> list[Tensor]:
    spec = _spec_of(inputs, options)
    batch, steps, _ = inputs.shape
    count = len(spec.kind.state) * len(spec.units) + 2 * spec.skips
    tape = empty_tape(
        spec,
        batch=batch,
        steps=steps,
        width=padded_width(spec),
        keep=keep,
        by_time=keep or every_step,
        whole=True,
        like=inputs,
    )
    h = inputs.new_empty(batch, steps if every_step else 0, spec.units[-1])
    return [
        h,
        inputs.new_empty(batch, steps, 1),
        *(tensor.new_empty(tensor.shape) for tensor in tensors[:count]),
        *tape,
    ]


@torch.library.custom_op(
    "skiprnn::unroll_backward",
    mutates_args=(),
    schema="(Tensor inputs, Tensor? lengths, Tensor[] tensors, Tensor gates, Tensor[] tape, Tensor? of_h, "
    f"Tensor? of_gates, Tensor[] of_final, bool scheduled, bool of_inputs, {_CELL}) -> Tensor[]",
)
def unroll_backward(
    inputs: Tensor,
    lengths: Tensor | None,
    tensors: list[Tensor],
    gates: Tensor,
    tape: list[Tensor],
    of_h: Tensor | None,
    of_gates: Tensor | None,
    of_final: list[Tensor],
    scheduled: bool,
    of_inputs: bool,
    cell: str,
    units: list[int],
    activation: str,
    forget_bias: float,
    layer_norm: bool,
    gate: str,
    gate_layer: int,
    precision: str,
) -> list[Tensor]:
    """The gradients of the inputs (empty unless `of_inputs`) and of all `tensors` of `unroll`, from its results.

    `of_h`, `of_gates` and `of_final` are the gradients of what it returned; of a leaf that has none, `of_final` has an
    empty tensor. `scheduled` says whether a plain cell was given draws.
    """
    spec = _spec_of(inputs, (cell, units, activation, forget_bias, layer_norm, gate, gate_layer, precision))
    final = [flow if flow.numel() else None for flow in of_final]
    flows = Flows(of_h, None if of_gates is None or not spec.skips else of_gates[:, :, 0], final)
    found, gradients = run_backward(
        spec,
        inputs.contiguous(),
        lengths,
        tensors,
        gates[:, :, 0].contiguous(),
        Tape(*tape),
        flows,
        scheduled=scheduled,
        of_inputs=of_inputs,
    )
    return [inputs.new_empty(0) if found is None else found, *gradients]


@unroll_backward.register_fake
def _(
    inputs: Tensor,
    lengths: Tensor | None,
    tensors: list[Tensor],
    gates: Tensor,
    tape: list[Tensor],
    of_h: Tensor | None,
    of_gates: Tensor | None,
    of_final: list[Tensor],
    scheduled: bool,
    of_inputs: bool,
    *options: Any,
) -> list[Tensor]:
    of_first = inputs.new_empty(inputs.shape if of_inputs else (0,))
    return [of_first, *(tensor.new_empty(tensor.shape) for tensor in tensors)]


def _keep_for_gradient(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    """Saves what the gradient reads."""
    x, lengths, draws, tensors, keep, _, *options = inputs
    spec = _spec_of(x, options)
    count = len(spec.kind.state) * len(spec.units) + 2 * spec.skips
    gates, tape = output[1], output[2 + count :]
    ctx.mark_non_differentiable(*tape, *(() if spec.skips else (gates,)))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, lengths, gates, *tensors, *tape)
    ctx.rest = (len(tensors), count, draws is not None, keep, options)


@first_order
@in_own_precision
def _gradient(ctx: Any, flows: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The gradients of `unroll`'s arguments."""
    x, lengths, gates, *saved = ctx.saved_tensors
    given, count, scheduled, _, options = ctx.rest
    of_h, of_gates, *of_final = flows[: 2 + count]
    empty = [x.new_empty(0) if flow is None else flow for flow in of_final]
    wanted = ctx.needs_input_grad[0]
    found, *gradients = unroll_backward(
        x, lengths, saved[:given], gates, saved[given:], of_h, of_gates, empty, scheduled, wanted, *options
    )
    return (found if wanted else None, None, None, gradients, *(None,) * (2 + len(options)))


unroll.register_autograd(_gradient, setup_context=_keep_for_gradient)
