"""The fast engine's gradient in PyTorch operations: every sequence at every step, no waiting for the device.

For tensors that the compiled kernels do not read: those on a GPU, or of other floating types. A step is not skipped
here, since asking the device which sequences update would stop it at every step; what is saved is autograd's graph
and, in the gradient, every product that does not wait for the step after it: candidates and weight gradients of all
steps are one product each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.kinds import LSTM
from impls.pytorch import skip_gate
from impls.pytorch.engines.first_order import first_order
from impls.pytorch.equations import (
    ACTIVATION_FUNCTIONS,
    LAYER_NORM_EPSILON,
    layer_norm,
    layer_parameters,
    stack_step,
)
from impls.states import FlatState

# Derivatives of the activations, told from their values.
DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda value: 1.0 - value * value,
    "relu": lambda value: (value > 0).to(value.dtype),
    "sigmoid": lambda value: value * (1.0 - value),
    "identity": torch.ones_like,
}


class Candidate(NamedTuple):
    """One layer at all steps, each `[time, batch, …]`.

    `read` is what the layer reads, `old` its state before, `new` its candidate; `pre` are the pre-activations before
    layer norm; `gates` are i, j, f, o, or r, z and the new memory.
    """

    read: Tensor
    old: tuple[Tensor, ...]
    new: tuple[Tensor, ...]
    pre: Tensor
    gates: tuple[Tensor, ...]


class Change(NamedTuple):
    """Gradients of one layer at one step, or stacked at all.

    `pre` is that of the pre-activations, of a GRU's new memory too; `normed` that of what layer norm made of them.
    """

    pre: Tensor
    normed: Tensor


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
        width = len(spec.kind.state)
        count = width * len(spec.units)
        of_gate = tensors[count : count + 2 * spec.skips]
        values = tensors[count + 2 * spec.skips :]
        parameters = dict(zip(names, values, strict=True))
        layers = tuple(tensors[at : at + width] for at in range(0, count, width))
        state = FlatState(layers, of_gate)
        draw = "gate_noise" if spec.skips else "updates"
        before: list[list[Tensor]] = []
        hs: list[Tensor] = []
        us: list[Tensor] = []
        for t in range(inputs.shape[1]):
            before.append([*(leaf for layer in state.layers for leaf in layer), *state.gate])
            given = {} if draws is None else {draw: draws[:, t : t + 1]}
            u, state = stack_step(spec, parameters, inputs[:, t], state, **given)
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
            ctx.save_for_backward(inputs, u, *values, *columns)
            ctx.rest = (spec, names)
        # Copies, since a tensor that went in cannot come out as another one.
        return (
            h,
            u,
            *(leaf.clone() for layer in state.layers for leaf in layer),
            *(part.clone() for part in state.gate),
        )

    @staticmethod
    @first_order
    def backward(ctx: Any, *flows: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradient of every tensor that `forward` took."""
        spec, names = ctx.rest
        inputs, u, *rest = ctx.saved_tensors
        parameters = dict(zip(names, rest[: len(names)], strict=True))
        before = rest[len(names) :]
        width = len(spec.kind.state)
        count = width * len(spec.units)
        u = u.transpose(0, 1)
        candidates = _candidates(spec, parameters, inputs.transpose(0, 1), before[:count])
        state = [
            torch.zeros_like(leaf[0]) if flow is None else flow for flow, leaf in zip(flows[2:], before, strict=True)
        ]
        state, of_gate = state[:count], state[count:]
        of_h, of_u = flows[:2]
        changes: list[list[Change]] = [[] for _ in spec.units]  # by layer, then by step from the last
        logits: list[Tensor] = []
        if spec.skips:
            probability, stored = before[count:]
            fed = candidates[spec.gate_layer].new[0]
            weights, biases = parameters["update_gate.weights"], parameters["update_gate.biases"]
            proposed = skip_gate.update_probability(fed, weights=weights, biases=biases)
            cumulative = skip_gate.accumulate(update_prob=probability, cum_update_prob=stored)
            through = (probability <= 1.0 - stored).to(u.dtype)
        for t in range(inputs.shape[1] - 1, -1, -1):
            if of_h is not None:
                state[-1] = state[-1] + of_h[:, t]
            flow = [u[t] * part for part in state]
            kept = [(1.0 - u[t]) * part for part in state]
            if spec.skips:
                of_probability, of_stored = of_gate
                along = sum(
                    (part * (candidate.new[leaf][t] - candidate.old[leaf][t])).sum(dim=1, keepdim=True)
                    for part, (candidate, leaf) in zip(
                        state, ((candidate, leaf) for candidate in candidates for leaf in range(width)), strict=True
                    )
                )
                change = along + of_probability * (proposed[t] - probability[t]) - of_stored * cumulative[t]
                if of_u is not None:
                    change = change + of_u[:, t]
                change = (change + (1.0 - u[t]) * of_stored) * through[t]
                logits.append(u[t] * of_probability * proposed[t] * (1.0 - proposed[t]))
                at = width * (spec.gate_layer % len(spec.units))
                flow[at] = flow[at] + logits[-1] * weights.T
                of_gate = [(1.0 - u[t]) * of_probability + change, change]
            for number in range(len(spec.units) - 1, -1, -1):
                own = slice(width * number, width * (number + 1))
                back = _lstm_back if spec.kind is LSTM else _gru_back
                layer = layer_parameters(parameters, number)
                of_layer, flow[own] = back(spec, layer, candidates[number], t, flow[own])
                changes[number].append(of_layer)
                if number > 0:
                    flow[own.start - 1] = flow[own.start - 1] + _below(spec, layer, of_layer)
            state = [old + new for old, new in zip(kept, flow, strict=True)]

        gradients: dict[str, Tensor] = {}
        for number, candidate in enumerate(candidates):
            whole = Change(*(torch.stack(steps[::-1]) for steps in zip(*changes[number], strict=True)))
            layer = layer_parameters(parameters, number)
            found = _weight_gradients(spec, layer, candidate, whole)
            gradients |= {f"layers.{number}.{name}": value for name, value in found.items()}
            if number == 0:
                of_inputs = _below(spec, layer, whole).transpose(0, 1) if ctx.needs_input_grad[6] else None
        if spec.skips:
            logit = torch.stack(logits[::-1])
            gradients["update_gate.weights"] = (fed * logit).sum(dim=(0, 1))[:, None]
            gradients["update_gate.biases"] = logit.sum().reshape(1)
        return (None, None, None, None, None, None, of_inputs, *state, *of_gate, *(gradients[name] for name in names))


def _candidates(spec: CellSpec, parameters: dict[str, Tensor], x: Tensor, before: list[Tensor]) -> list[Candidate]:
    """The candidates of all layers from inputs and old states, each `[time, batch, …]`."""
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    width = len(before) // len(spec.units)
    found: list[Candidate] = []
    for number in range(len(spec.units)):
        layer = layer_parameters(parameters, number)
        old = tuple(before[width * number : width * (number + 1)])
        name = "" if spec.kind is LSTM else "gate_"
        pre = torch.cat([x, old[-1]], dim=2) @ layer[f"{name}weights"] + layer[f"{name}biases"]
        normed = pre
        if spec.layer_norm:
            normed = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
        if spec.kind is LSTM:
            i, j, f, o = torch.chunk(normed, 4, dim=2)
            gates: tuple[Tensor, ...] = (
                torch.sigmoid(i),
                activation(j),
                torch.sigmoid(f + spec.forget_bias),
                torch.sigmoid(o),
            )
            c = old[0] * gates[2] + gates[0] * gates[1]
            new: tuple[Tensor, ...] = (c, activation(c) * gates[3])
        else:
            r, z = torch.chunk(torch.sigmoid(normed), 2, dim=2)
            read = torch.cat([x, r * old[0]], dim=2)
            memory = activation(read @ layer["candidate_weights"] + layer["candidate_biases"])
            gates, new = (r, z, memory), (z * old[0] + (1.0 - z) * memory,)
        found.append(Candidate(x, old, new, pre, gates))
        x = new[-1]
    return found


def _lstm_back(
    spec: CellSpec, layer: dict[str, Tensor], candidate: Candidate, t: int, flow: list[Tensor]
) -> tuple[Change, list[Tensor]]:
    """From gradients of the candidate state to those of the pre-activations and of the old state."""
    derivative = DERIVATIVES[spec.activation]
    i, j, f, o = (gate[t] for gate in candidate.gates)
    value = ACTIVATION_FUNCTIONS[spec.activation](candidate.new[0][t])
    of_c = flow[0] + flow[1] * o * derivative(value)
    normed = torch.cat(
        [
            of_c * j * i * (1.0 - i),
            of_c * i * derivative(j),
            of_c * candidate.old[0][t] * f * (1.0 - f),
            flow[1] * value * o * (1.0 - o),
        ],
        dim=1,
    )
    pre = _norm_back(spec, layer, candidate.pre[t], normed)
    return Change(pre, normed), [of_c * f, pre @ layer["weights"][candidate.read.shape[2] :].T]


def _gru_back(
    spec: CellSpec, layer: dict[str, Tensor], candidate: Candidate, t: int, flow: list[Tensor]
) -> tuple[Change, list[Tensor]]:
    """The same of a GRU layer."""
    (of_h,), old = flow, candidate.old[0][t]
    inputs = candidate.read.shape[2]
    r, z, memory = (gate[t] for gate in candidate.gates)
    of_memory = of_h * (1.0 - z) * DERIVATIVES[spec.activation](memory)
    of_reset = of_memory @ layer["candidate_weights"][inputs:].T
    normed = torch.cat([of_reset * old * r * (1.0 - r), of_h * (old - memory) * z * (1.0 - z)], dim=1)
    pre = _norm_back(spec, layer, candidate.pre[t], normed)
    of_old = of_h * z + of_reset * r + pre @ layer["gate_weights"][inputs:].T
    return Change(torch.cat([pre, of_memory], dim=1), normed), [of_old]


def _norm_back(spec: CellSpec, layer: dict[str, Tensor], pre: Tensor, normed: Tensor) -> Tensor:
    """From the gradient of what layer norm returns to that of what it takes; none, the same."""
    if not spec.layer_norm:
        return normed
    gains = layer["norm_gains"]
    parts, change = pre.reshape(-1, *gains.shape), normed.reshape(-1, *gains.shape) * gains
    centred = parts - parts.mean(dim=2, keepdim=True)
    deviation = (centred * centred).mean(dim=2, keepdim=True).sqrt()
    scale = 1.0 / (deviation + LAYER_NORM_EPSILON)
    # A layer of one unit has no deviation: the slope is 0 there, not 0 / 0.
    spread = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    slope = (change * centred).mean(dim=2, keepdim=True) * scale * scale / spread
    change = change * scale - slope * centred
    return (change - change.mean(dim=2, keepdim=True)).reshape(pre.shape)


def _below(spec: CellSpec, layer: dict[str, Tensor], change: Change) -> Tensor:
    """The gradient of what the layer reads."""
    units = change.normed.shape[-1] // (4 if spec.kind is LSTM else 2)
    if spec.kind is LSTM:
        return change.pre @ layer["weights"][:-units].T
    pre, of_memory = change.pre[..., : 2 * units], change.pre[..., 2 * units :]
    return pre @ layer["gate_weights"][:-units].T + of_memory @ layer["candidate_weights"][:-units].T


def _weight_gradients(
    spec: CellSpec, layer: dict[str, Tensor], candidate: Candidate, change: Change
) -> dict[str, Tensor]:
    """One layer's gradients under short names, from all steps at once."""
    found: dict[str, Tensor] = {}

    def add(name: str, read: Tensor, pre: Tensor) -> None:
        found[f"{name}weights"] = read.flatten(0, 1).T @ pre.flatten(0, 1)
        found[f"{name}biases"] = pre.sum(dim=(0, 1))

    read = torch.cat([candidate.read, candidate.old[-1]], dim=2)
    if spec.kind is LSTM:
        add("", read, change.pre)
    else:
        early = change.normed.shape[2]
        add("gate_", read, change.pre[..., :early])
        reset = candidate.gates[0] * candidate.old[0]
        add("candidate_", torch.cat([candidate.read, reset], dim=2), change.pre[..., early:])
    if spec.layer_norm:
        ones, zeros = torch.ones_like(layer["norm_gains"]), torch.zeros_like(layer["norm_biases"])
        plain = layer_norm(candidate.pre, gains=ones, biases=zeros)
        found["norm_gains"] = (change.normed * plain).sum(dim=(0, 1)).reshape(ones.shape)
        found["norm_biases"] = change.normed.sum(dim=(0, 1)).reshape(ones.shape)
    return found
