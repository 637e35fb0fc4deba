"""The fast engine's gradient in PyTorch operations: every sequence at every step, no waiting for the device.

For tensors that the compiled kernels do not read: those on a GPU, or of other floating types. A step is not skipped
here, since asking the device which sequences update would stop it at every step; what is saved is autograd's graph
and, in the gradient, every product that does not wait for the step after it: candidates and weight gradients of all
steps are one product each. The gate's two scalars and their gradients are float32 at least.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch import skip_gate
from impls.pytorch.adjoints import (
    Activated,
    Changes,
    Gradients,
    Parameters,
    activate,
    backward,
    complete,
    inputs_gradient,
    pieces_of,
    recur,
    split,
    weight_gradients,
)
from impls.pytorch.engines.first_order import first_order
from impls.pytorch.engines.unrolled import real_steps, without_padding
from impls.pytorch.equations import LayerState, layer_parameters, stack_step
from impls.pytorch.precision import in_own_precision
from impls.states import FlatState


class LayerSteps(NamedTuple):
    """One layer at all steps, each `[time, batch, …]`.

    `parameters` are the layer's own, cut by `split`; `below` is what it reads, `state` its state before.
    """

    parameters: Parameters
    below: Tensor
    state: LayerState
    candidate: LayerState
    activated: Activated


class GateSteps(NamedTuple):
    """The skip gate at all steps, each `[time, batch, …]`.

    `fed` is the candidate that it reads, `proposed` the Δũ made of it; `update_prob` and `cum_update_prob` are those
    before, `cumulative` is ũ. `through` says where the minimum of eq. 5 is Δũ, within a sequence: elsewhere no gradient
    passes.
    """

    fed: Tensor
    proposed: Tensor
    update_prob: Tensor
    cum_update_prob: Tensor
    cumulative: Tensor
    through: Tensor


class OperationsUnroll(torch.autograd.Function):
    """`equations.stack_step` at every step, with the gradient of `docs/engines.md`."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: CellSpec,
        draws: Tensor | None,
        lengths: Tensor | None,
        keep: bool,
        every_step: bool,
        names: list[str],
        inputs: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """Runs the sequences; `tensors` are the state's leaves, the gate's two scalars, and the named parameters."""
        pieces_of(spec)  # refuses a kind that has none
        state, values = _cut(spec, tensors)
        parameters = dict(zip(names, values, strict=True))
        draw = "gate_noise" if spec.skips else "updates"
        real = None if lengths is None else real_steps(lengths, steps=inputs.shape[1])
        if real is not None:
            inputs = without_padding(inputs, real=real)
        before: list[list[Tensor]] = []
        hs: list[Tensor] = []
        us: list[Tensor] = []
        for t in range(inputs.shape[1]):
            before.append(_leaves(state))
            drawn = {} if draws is None else {draw: draws[:, t : t + 1]}
            real_at = None if real is None else real[:, t]
            u, state = stack_step(spec, parameters, inputs[:, t], state, real=real_at, **drawn)
            if every_step:
                hs.append(state.layers[-1][-1])
            us.append(u)
        u = torch.stack(us, dim=1)
        h = torch.stack(hs, dim=1) if hs else u.new_empty(len(u), 0, spec.units[-1])
        if not spec.skips:
            ctx.mark_non_differentiable(u)
        ctx.set_materialize_grads(False)
        if keep:
            columns = [torch.stack(column) for column in zip(*before, strict=True)]
            # The gates are the caller's to change in place.
            ctx.save_for_backward(inputs, u.clone(), real, *values, *columns)
            ctx.rest = (spec, names)
        # Copies, since a tensor that went in cannot come out as another one.
        return (h, u, *(leaf.clone() for leaf in _leaves(state)))

    @staticmethod
    @first_order
    @in_own_precision
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradient of every tensor that `forward` took."""
        spec, names = ctx.rest
        inputs, u, real, *saved = ctx.saved_tensors
        u, real = u.transpose(0, 1), None if real is None else real.transpose(0, 1)
        parameters = dict(zip(names, saved[: len(names)], strict=True))
        states = saved[len(names) :]  # before every step
        before, _ = _cut(spec, states)
        stack = _stack_steps(spec, parameters, inputs.transpose(0, 1), before)
        gate = _gate_steps(spec, parameters, stack, before, real) if spec.skips else None
        of_h, of_u, *of_state = cotangents
        start = [torch.zeros_like(leaf[0]) if g is None else g for g, leaf in zip(of_state, states, strict=True)]
        adjoint, _ = _cut(spec, start)
        changes: list[list[Changes]] = [[] for _ in spec.units]  # by layer, then by step from the last
        glogits: list[Tensor] = []
        for t in range(inputs.shape[1] - 1, -1, -1):
            if of_h is not None:
                adjoint = _with_output(adjoint, of_h[:, t])
            entering = [[u[t] * leaf for leaf in layer] for layer in adjoint.layers]
            staying = [[(1.0 - u[t]) * leaf for leaf in layer] for layer in adjoint.layers]
            scalars = adjoint.gate
            if gate is not None:
                of_gate = None if of_u is None else of_u[:, t]
                scalars, glogit = _gate_backward(stack, gate, adjoint, t, u=u[t], of_gate=of_gate, real=real)
                glogits.append(glogit)
                fed = entering[spec.gate_layer]
                fed[0] = fed[0] + (glogit * parameters["update_gate.weights"].T).to(fed[0].dtype)
            leaving = _layers_backward(spec, stack, entering, t, changes)
            layers = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(leaving, staying, strict=True)]
            adjoint = FlatState(tuple(map(tuple, layers)), scalars)
        gradients, of_inputs = _from_all_steps(spec, stack, changes, wanted=ctx.needs_input_grad[6])
        if gate is not None:
            glogit = torch.stack(glogits[::-1])
            gradients["update_gate.weights"] = (gate.fed * glogit).sum(dim=(0, 1))[:, None]
            gradients["update_gate.biases"] = glogit.sum().reshape(1)
        typed = [gradients[name].to(parameters[name].dtype) for name in names]
        return (None, None, None, None, None, None, of_inputs, *_leaves(adjoint), *typed)


def _cut(spec: CellSpec, tensors: tuple[Tensor, ...] | list[Tensor]) -> tuple[FlatState, list[Tensor]]:
    """The flat state from its leaves, and the tensors that follow them."""
    width = len(spec.kind.state)
    count = width * len(spec.units)
    layers = tuple(tuple(tensors[at : at + width]) for at in range(0, count, width))
    end = count + 2 * spec.skips
    return FlatState(layers, tuple(tensors[count:end])), list(tensors[end:])


def _leaves(state: FlatState) -> list[Tensor]:
    """The leaves of a flat state, in order."""
    return [*(leaf for layer in state.layers for leaf in layer), *state.gate]


def _with_output(adjoint: FlatState, of_h: Tensor) -> FlatState:
    """The adjoint of the state after a step with the gradient of the output there."""
    *rest, h = adjoint.layers[-1]
    return adjoint._replace(layers=(*adjoint.layers[:-1], (*rest, h + of_h)))


def _stack_steps(spec: CellSpec, parameters: Parameters, x: Tensor, before: FlatState) -> list[LayerSteps]:
    """The candidates of all layers at all steps, from the inputs and the states before."""
    found: list[LayerSteps] = []
    for number, state in enumerate(before.layers):
        layer = split(spec, layer_parameters(parameters, number))
        activated = activate(spec, layer, x, recur(spec, layer, state))
        candidate, activated = complete(spec, layer, x, state, activated)
        found.append(LayerSteps(layer, x, state, candidate, activated))
        x = candidate[-1]
    return found


def _gate_steps(
    spec: CellSpec, parameters: Parameters, stack: list[LayerSteps], before: FlatState, real: Tensor | None
) -> GateSteps:
    """The skip gate at all steps."""
    update_prob, cum_update_prob = before.gate
    fed = stack[spec.gate_layer].candidate[0]
    proposed = skip_gate.update_probability(
        fed,
        weights=parameters["update_gate.weights"],
        biases=parameters["update_gate.biases"],
        precision=spec.precision,
    )
    cumulative = skip_gate.accumulate(update_prob=update_prob, cum_update_prob=cum_update_prob)
    through = ~(update_prob > 1.0 - cum_update_prob)  # so put that a NaN goes on
    if real is not None:
        through = through & real
    return GateSteps(fed, proposed, update_prob, cum_update_prob, cumulative, through)


def _gate_backward(
    stack: list[LayerSteps],
    gate: GateSteps,
    adjoint: FlatState,
    t: int,
    *,
    u: Tensor,
    of_gate: Tensor | None,
    real: Tensor | None,
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Gradients of Δũ and of the stored ũ before step t, and of the logit of the Δũ proposed there."""
    of_prob, of_stored = adjoint.gate
    wide = of_prob.dtype
    u = u.to(wide)
    change = of_prob * (gate.proposed[t] - gate.update_prob[t]) - of_stored * gate.cumulative[t]
    for layer, cotangents in zip(stack, adjoint.layers, strict=True):
        for leaf, g in enumerate(cotangents):
            difference = layer.candidate[leaf][t].to(wide) - layer.state[leaf][t].to(wide)
            change = change + (g.to(wide) * difference).sum(dim=1, keepdim=True)
    if of_gate is not None:
        change = change + of_gate.to(wide)
    change = change + (1.0 - u) * of_stored
    change = torch.where(gate.through[t], change, torch.zeros_like(change))
    before = change if real is None else torch.where(real[t], change, of_stored)
    glogit = u * of_prob * gate.proposed[t] * (1.0 - gate.proposed[t])
    return ((1.0 - u) * of_prob + change, before), glogit


def _layers_backward(
    spec: CellSpec, stack: list[LayerSteps], entering: list[list[Tensor]], t: int, changes: list[list[Changes]]
) -> list[LayerState]:
    """Down the stack at step t: gradients of the old state; those of the pre-activations are added to `changes`."""
    leaving: list[LayerState] = []
    for number in range(len(stack) - 1, -1, -1):
        layer = stack[number]
        state, candidate = (tuple(leaf[t] for leaf in leaves) for leaves in (layer.state, layer.candidate))
        pre = None if layer.activated.pre is None else layer.activated.pre[t]
        activated = Activated(pre, tuple(gate[t] for gate in layer.activated.gates))
        change, of_state = backward(spec, layer.parameters, state, candidate, activated, tuple(entering[number]))
        changes[number].append(change)
        leaving.insert(0, of_state)
        if number > 0:
            below = entering[number - 1]
            below[-1] = below[-1] + inputs_gradient(spec, layer.parameters, change)
    return leaving


def _from_all_steps(
    spec: CellSpec, stack: list[LayerSteps], changes: list[list[Changes]], *, wanted: bool
) -> tuple[Gradients, Tensor | None]:
    """The layers' gradients under canonical names and, where `wanted`, the inputs' `[batch, time, features]`."""
    gradients: Gradients = {}
    of_inputs: Tensor | None = None
    for number, (layer, steps) in enumerate(zip(stack, changes, strict=True)):
        products = tuple(torch.stack(each[::-1]) for each in zip(*(change.products for change in steps), strict=True))
        normed = torch.stack([change.normed for change in steps[::-1]]) if spec.layer_norm else products[0]
        whole = Changes(products, normed)
        found = weight_gradients(spec, layer.parameters, layer.below, layer.state, layer.activated, whole)
        gradients |= {f"layers.{number}.{name}": value for name, value in found.items()}
        if number == 0 and wanted:
            of_inputs = inputs_gradient(spec, layer.parameters, whole).transpose(0, 1)
    return gradients, of_inputs
