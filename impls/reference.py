"""The equations in float64 NumPy, forward only: the oracle that both frameworks are tested against.

Written for reading, not for speed. Equation numbers are those of Campos et al., ICLR 2018; where the paper is
loose, the authors' released code decides (`docs/fidelity.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from impls.contract import Array, CellSpec

LAYER_NORM_EPSILON = 1e-3

LayerState = tuple[Array, ...]  # (c, h) for an LSTM layer, (h,) for a GRU layer; each [batch, units]


@dataclass(frozen=True, kw_only=True)
class Unrolled:
    """What an unrolled cell returns.

    Shapes:
        h: `[batch, time, units of the top layer]`.
        gates: `[batch, time]`, 1 where the state was updated.
        update_probabilities: `[batch, time]`, the carried Δũ after the step (eq. 4); ones for plain cells.
        cumulative: `[batch, time]`, ũ as the gate read it (eq. 5); ones for plain cells.
        layers: the final state of every layer.
    """

    h: Array
    gates: Array
    update_probabilities: Array
    cumulative: Array
    layers: tuple[LayerState, ...]


def sigmoid(x: Array) -> Array:
    """The logistic function, without overflow at either end."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


ACTIVATION_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": sigmoid,
    "identity": lambda x: x,
}


def as_bfloat16(x: Array) -> Array:
    """The nearest numbers of 8 significant bits, ties to even, in float64."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    kept = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) & np.uint32(0xFFFF0000)
    return kept.view(np.float32).astype(np.float64)


def product(spec: CellSpec, left: Array, right: Array) -> Array:
    """A product at the cell's precision; TF32 is a card's own, and not told here."""
    if spec.precision == "bfloat16":
        left, right = as_bfloat16(left), as_bfloat16(right)
    return np.asarray(left @ right)


def layer_norm(x: Array, *, gains: Array, biases: Array) -> Array:
    """Normalises each gate's pre-activation on its own; `x` is `[batch, gates * units]`.

    The epsilon is added to the standard deviation, as in the released code. One that overflows makes all NaN.
    """
    parts = x.reshape(x.shape[0], *gains.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = parts.mean(axis=2, keepdims=True)
        deviation = parts.std(axis=2, keepdims=True)
    deviation = np.where(deviation < np.inf, deviation, np.nan)
    return np.asarray((gains * (parts - mean) / (deviation + LAYER_NORM_EPSILON) + biases).reshape(x.shape))


def lstm_step(spec: CellSpec, layer: Mapping[str, Array], x: Array, state: LayerState) -> LayerState:
    """One LSTM layer, one step: `c' = c σ(f + forget bias) + σ(i) φ(j)`, `h' = φ(c') σ(o)`."""
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    c, h = state
    gates = product(spec, np.concatenate([x, h], axis=1), layer["weights"]) + layer["biases"]
    if spec.layer_norm:
        gates = layer_norm(gates, gains=layer["norm_gains"], biases=layer["norm_biases"])
    i, j, f, o = np.split(gates, 4, axis=1)
    new_c = c * sigmoid(f + spec.forget_bias) + sigmoid(i) * activation(j)
    return new_c, activation(new_c) * sigmoid(o)


def gru_step(spec: CellSpec, layer: Mapping[str, Array], x: Array, state: LayerState) -> LayerState:
    """One GRU layer, one step: `h' = z h + (1 - z) φ(W [x, r h] + b)`."""
    activation = ACTIVATION_FUNCTIONS[spec.activation]
    (h,) = state
    gates = product(spec, np.concatenate([x, h], axis=1), layer["gate_weights"]) + layer["gate_biases"]
    if spec.layer_norm:
        gates = layer_norm(gates, gains=layer["norm_gains"], biases=layer["norm_biases"])
    r, z = np.split(sigmoid(gates), 2, axis=1)
    of_both = product(spec, np.concatenate([x, r * h], axis=1), layer["candidate_weights"])
    candidate = activation(of_both + layer["candidate_biases"])
    return (z * h + (1.0 - z) * candidate,)


LAYER_STEPS = {"lstm": lstm_step, "gru": gru_step}


def layer_parameters(parameters: Mapping[str, Array], layer: int) -> dict[str, Array]:
    """One layer's parameters, under short names, in float64."""
    prefix = f"layers.{layer}."
    return {
        name.removeprefix(prefix): np.asarray(value, np.float64)
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def initial_layers(spec: CellSpec, parameters: Mapping[str, Array], *, batch: int) -> list[LayerState]:
    """The initial state of every layer: the learned row repeated over the batch, or zeros."""
    states: list[LayerState] = []
    for layer, units in enumerate(spec.units):
        rows = layer_parameters(parameters, layer)
        states.append(
            tuple(
                np.repeat(rows.get(f"initial_{name}", np.zeros((1, units))), batch, axis=0) for name in spec.kind.state
            )
        )
    return states


def unroll(
    spec: CellSpec,
    parameters: Mapping[str, Array],
    inputs: Array,
    *,
    updates: Array | None = None,
    gate_noise: Array | None = None,
) -> Unrolled:
    """Runs a cell over `inputs` `[batch, time, features]` in float64.

    Args:
        spec: the cell.
        parameters: canonical names to values.
        inputs: `[batch, time, features]`.
        updates: `[batch, time]` in {0, 1}, the random skip's gate; plain cells only.
        gate_noise: `[batch, time]`, U(0, 1), read by Bernoulli gates: `u = 1` where `noise < ũ`.
    """
    batch, time, _ = inputs.shape
    step = LAYER_STEPS[spec.kind.name]
    layers = [layer_parameters(parameters, layer) for layer in range(len(spec.units))]
    states = initial_layers(spec, parameters, batch=batch)
    probability, stored = np.ones((batch, 1)), np.zeros((batch, 1))
    columns: dict[str, list[Array]] = {"h": [], "gates": [], "probability": [], "cumulative": []}

    for t in range(time):
        candidates: list[LayerState] = []
        x = np.asarray(inputs[:, t], np.float64)
        for layer, state in zip(layers, states, strict=True):
            candidates.append(step(spec, layer, x, state))
            x = candidates[-1][-1]

        if spec.skips:
            cumulative = stored + np.minimum(probability, 1.0 - stored)  # eq. 5
            if spec.gate == "bernoulli":
                assert gate_noise is not None
                u = (gate_noise[:, t : t + 1] < cumulative).astype(np.float64)
            else:
                u = np.round(cumulative)  # eq. 2; half to even, so 0.5 skips
            fed = candidates[spec.gate_layer][0]  # c of an LSTM, h of a GRU: the candidate's
            proposed = sigmoid(fed @ parameters["update_gate.weights"] + parameters["update_gate.biases"])
            probability = u * proposed + (1.0 - u) * probability  # eq. 4, copied where skipped
            stored = (1.0 - u) * cumulative
        else:
            cumulative = np.ones((batch, 1))
            u = cumulative if updates is None else np.asarray(updates[:, t : t + 1], np.float64)

        states = [  # eq. 3
            tuple(u * new + (1.0 - u) * old for new, old in zip(candidate, state, strict=True))
            for candidate, state in zip(candidates, states, strict=True)
        ]
        for name, column in zip(columns, (states[-1][-1], u, probability, cumulative), strict=True):
            columns[name].append(column)

    return Unrolled(
        h=np.stack(columns["h"], axis=1),
        gates=np.concatenate(columns["gates"], axis=1),
        update_probabilities=np.concatenate(columns["probability"], axis=1),
        cumulative=np.concatenate(columns["cumulative"], axis=1),
        layers=tuple(states),
    )
