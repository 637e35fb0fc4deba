"""One time step, as pure functions of tensors: the equations of the layers, and of a stack with its gate.

Parameters come as mappings from the canonical names of `impls/parameters.py`, states as `impls/states.py` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch import skip_gate
from impls.pytorch.products import product
from impls.states import FlatState

LAYER_NORM_EPSILON = 1e-3  # added to the standard deviation, as in the released code

LayerState = tuple[Tensor, ...]
Parameters = Mapping[str, Tensor]

ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}


def layer_norm(x: Tensor, *, gains: Tensor, biases: Tensor) -> Tensor:
    """Normalises each gate's pre-activation on its own; `x` is `[batch, gates * units]`.

    In float32 at least: the square of 256 is no float16. Where the sum of squares is beyond the type, all is NaN.
    """
    dtype = skip_gate.gate_dtype(x.dtype)
    parts = x.to(dtype).reshape(-1, *gains.shape)
    centred = parts - parts.mean(dim=2, keepdim=True)
    variance = (centred * centred).mean(dim=2, keepdim=True)
    deviation = _safe_sqrt(variance)
    normed = gains.to(dtype) * centred / (deviation + LAYER_NORM_EPSILON) + biases.to(dtype)
    return normed.reshape(x.shape).to(x.dtype)


def _safe_sqrt(x: Tensor) -> Tensor:
    """`√x` with gradient 0, not NaN, at 0: the variance of a layer of one unit. Of infinity, which overflowed, NaN."""
    positive = x > 0
    root = torch.where(positive, torch.sqrt(torch.where(positive, x, torch.ones_like(x))), x)
    return torch.where(x < math.inf, root, math.nan)


def lstm_step(spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState) -> LayerState:
    """One LSTM layer: `c' = c σ(f + forget bias) + σ(i) φ(j)`, `h' = φ(c') σ(o)`; returns `(c', h')`."""
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    c, h = state
    pre = product(torch.cat([x, h], dim=1), layer["weights"], precision=spec.precision) + layer["biases"]
    if spec.layer_norm:
        pre = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
    i, j, f, o = torch.chunk(pre, 4, dim=1)
    new_c = c * torch.sigmoid(f + spec.forget_bias) + torch.sigmoid(i) * activation(j)
    return new_c, activation(new_c) * torch.sigmoid(o)


def gru_step(spec: CellSpec, layer: Parameters, x: Tensor, state: LayerState) -> LayerState:
    """One GRU layer: `h' = z h + (1 − z) φ(W [x, r h] + b)`; returns `(h',)`."""
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    (h,) = state
    pre = product(torch.cat([x, h], dim=1), layer["gate_weights"], precision=spec.precision) + layer["gate_biases"]
    if spec.layer_norm:
        pre = layer_norm(pre, gains=layer["norm_gains"], biases=layer["norm_biases"])
    r, z = torch.chunk(torch.sigmoid(pre), 2, dim=1)
    of_both = product(torch.cat([x, r * h], dim=1), layer["candidate_weights"], precision=spec.precision)
    candidate = activation(of_both + layer["candidate_biases"])
    return (z * h + (1.0 - z) * candidate,)


LAYER_STEPS = {"lstm": lstm_step, "gru": gru_step}


def layer_parameters(parameters: Parameters, layer: int) -> dict[str, Tensor]:
    """One layer's parameters under their short names."""
    prefix = f"layers.{layer}."
    return {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}


def initial_state(spec: CellSpec, parameters: Mapping[str, Tensor], *, batch: int, like: Tensor) -> FlatState:
    """The learned rows repeated over the batch (or zeros of the type of `like`), Δũ = 1 and a stored ũ of 0."""

    def leaf(number: int, units: int, name: str) -> Tensor:
        if spec.initial_state == "zeros":
            return like.new_zeros(batch, units)
        return parameters[f"layers.{number}.initial_{name}"].expand(batch, units)

    layers = tuple(
        tuple(leaf(number, units, name) for name in spec.kind.state) for number, units in enumerate(spec.units)
    )
    dtype = skip_gate.gate_dtype(like.dtype)
    scalars = like.new_ones(batch, 1, dtype=dtype), like.new_zeros(batch, 1, dtype=dtype)
    return FlatState(layers, scalars if spec.skips else ())


def stack_step(
    spec: CellSpec,
    parameters: Parameters,
    x: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    real: Tensor | None = None,
) -> tuple[Tensor, FlatState]:
    """One step of a whole cell (eqs. 2 to 5); returns the gate `[batch, 1]` and the new state.

    All layers update or copy together; each reads the candidate of the layer below.

    Args:
        spec: the cell.
        parameters: canonical names to tensors.
        x: `[batch, features]`.
        state: the state before the step.
        updates: `[batch, 1]`, the random skip's gate, for plain cells.
        gate_noise: `[batch, 1]`, for Bernoulli gates.
        real: `[batch, 1]`, false beyond a sequence's end, where nothing changes; None where all have this step.
    """
    candidates: list[LayerState] = []
    below = x
    for number, layer_state in enumerate(state.layers):
        candidates.append(LAYER_STEPS[spec.kind.name](spec, layer_parameters(parameters, number), below, layer_state))
        below = candidates[-1][-1]

    if not spec.skips:
        if updates is None and real is None:
            return torch.ones_like(x[:, :1]), FlatState(tuple(candidates), ())
        u = torch.ones_like(x[:, :1]) if updates is None else updates
        u = u if real is None else torch.where(real, u, torch.zeros_like(u))
        return u, FlatState(_select(u, candidates, state.layers), ())

    update_prob, cum_update_prob = state.gate
    cumulative = skip_gate.accumulate(update_prob=update_prob, cum_update_prob=cum_update_prob)
    if gate_noise is None:
        decision = skip_gate.round_gate(cumulative)
    else:
        decision = skip_gate.bernoulli_gate(cumulative, gate_noise=gate_noise)
    proposed = skip_gate.update_probability(
        candidates[spec.gate_layer][0],  # c of an LSTM, h of a GRU: the candidate's
        weights=parameters["update_gate.weights"],
        biases=parameters["update_gate.biases"],
        precision=spec.precision,
    )
    stored = (1.0 - decision) * cumulative
    if real is not None:
        decision = torch.where(real, decision, torch.zeros_like(decision))
        stored = torch.where(real, stored, cum_update_prob)
    gate = (decision * proposed + (1.0 - decision) * update_prob, stored)
    u = decision.to(x.dtype)
    return u, FlatState(_select(u, candidates, state.layers), gate)


def _select(u: Tensor, candidates: list[LayerState], states: tuple[LayerState, ...]) -> tuple[LayerState, ...]:
    """Eq. 3: the candidate where `u` is 1, the old state where it is 0."""
    return tuple(
        tuple(u * new + (1.0 - u) * old for new, old in zip(candidate, state, strict=True))
        for candidate, state in zip(candidates, states, strict=True)
    )
