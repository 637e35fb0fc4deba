"""Where each number of a cell lies in the flat buffers of the compiled kernels, and the way there and back.

A buffer is one matrix for all layers, each with columns of its own, so that one compiled kernel serves stacks of any
depth and of any sizes. The units of a layer are padded with zeros to whole panels of `products.py`, gate by gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from impls.contract import ACTIVATIONS, Array, CellSpec
from impls.errors import no_kernels
from impls.parameters import layer_input_sizes
from impls.pytorch.engines.kernels.products import pack, panel_width

LSTM, GRU = range(2)
KINDS = {"lstm": LSTM, "gru": GRU}  # those that the kernels know
ALWAYS, SCHEDULED, ROUND, BERNOULLI = range(4)  # what decides an update; scheduled: a random or periodic skip

# Columns of `Layout.layers`; `…_AT` are columns or places in the buffers.
(
    UNITS,  # units of the layer
    WIDTH,  # the same, padded
    INPUTS,  # width of what it reads: the features, or the padded units of the layer below
    INPUT_WIDTH,  # the same, padded
    READ_WIDTH,  # width of what it reads and a one, padded
    GATES_AT,  # record: the gates, after their activations
    STATE_AT,  # record: the candidate state, (c, h) or (h,)
    PRE_AT,  # record: pre-activations before layer norm
    OLD_AT,  # state: (c, h) or (h,)
    HELD_AT,  # held: the recurrent product of a state that is skipped with
    READ_AT,  # read: the layer's input and a one, for the bias; then zeros
    CHANGE_AT,  # changes: gradients of the pre-activations
    RESET_AT,  # reset: r h of a GRU
    INPUT_WEIGHTS_AT,  # forward weights: [inputs + 1, gates]
    STATE_WEIGHTS_AT,  # forward weights: [units, gates]
    INPUT_BACK_AT,  # backward weights: [gates, inputs]
    STATE_BACK_AT,  # backward weights: [early gates, units]
    CANDIDATE_BACK_AT,  # backward weights of a GRU: [units, units]
    GRADIENT_AT,  # weights' gradient: [gates, units, then inputs and a one]
    NORM_AT,  # norms: gains, then biases
    FIELDS,
) = range(21)


class Layout(NamedTuple):
    """Places and sizes, as compiled code reads them; see the names above for `layers`."""

    layers: Array
    kind: int
    activation: int
    norm: bool
    decision: int
    gates: int  # of a layer: 4 or 3
    early: int  # those that do not wait for r: 4 or 2; they are the ones that layer norm acts on
    leaves: int  # of a layer's state: 2 or 1
    fed_at: int  # state: the leaf that feeds the skip gate
    fed_record_at: int  # record: the same
    record: int
    state: int
    held: int
    read: int
    changes: int
    reset: int
    weights: int
    back: int
    gradient: int
    norms: int


class Weights(NamedTuple):
    """A cell's parameters in flat buffers, each one-dimensional; `gate` is the skip gate's, `forget` one number."""

    forward: Array
    back: Array
    norms: Array
    gate: Array
    gate_bias: Array
    forget: Array


def _padded(size: int, width: int) -> int:
    return -(-size // width) * width


def layout_of(spec: CellSpec, *, decision: int, dtype: np.dtype) -> Layout:
    """The layout of a cell; raises `CellError` for a kind that the kernels do not know."""
    panel = panel_width(dtype)
    kind = spec.kind
    if kind.name not in KINDS:
        raise no_kernels(spec.cell)
    gates, early, leaves = len(kind.gates), len(kind.normalised), len(kind.state)
    layers = np.zeros((len(spec.units), FIELDS), np.int64)
    record = state = held = read = changes = reset = weights = back = gradient = norms = 0
    below = spec.input_size
    for row, units in zip(layers, spec.units, strict=True):
        width, input_width = _padded(units, panel), _padded(below, panel)
        read_width = _padded(below + 1, panel)
        row[[UNITS, WIDTH, INPUTS, INPUT_WIDTH, READ_WIDTH]] = units, width, below, input_width, read_width
        row[GATES_AT], row[STATE_AT] = record, record + gates * width
        row[PRE_AT] = record + (gates + leaves) * width
        record += (gates + leaves + early * spec.layer_norm) * width
        row[[OLD_AT, HELD_AT, READ_AT, CHANGE_AT, RESET_AT]] = state, held, read, changes, reset
        state, held, read = state + leaves * width, held + early * width, read + read_width
        changes, reset = changes + gates * width, reset + (gates - early) * width
        row[INPUT_WEIGHTS_AT], row[STATE_WEIGHTS_AT] = weights, weights + (below + 1) * gates * width
        weights += (below + 1 + width) * gates * width
        row[INPUT_BACK_AT], row[STATE_BACK_AT] = back, back + gates * width * input_width
        row[CANDIDATE_BACK_AT] = row[STATE_BACK_AT] + early * width * width
        back += gates * width * (input_width + width)
        row[GRADIENT_AT] = gradient
        gradient += gates * width * (width + read_width)
        row[NORM_AT] = norms
        norms += 2 * early * width * spec.layer_norm
        below = width
    fed = layers[spec.gate_layer]
    return Layout(
        layers=layers,
        kind=KINDS[kind.name],
        activation=ACTIVATIONS.index(spec.activation),
        norm=spec.layer_norm,
        decision=decision,
        gates=gates,
        early=early,
        leaves=leaves,
        fed_at=int(fed[OLD_AT]),
        fed_record_at=int(fed[STATE_AT]),
        record=record,
        state=state,
        held=held,
        read=read,
        changes=changes,
        reset=reset,
        weights=weights,
        back=back,
        gradient=gradient,
        norms=norms,
    )


def pad_rows(layout: Layout, leaves: list[Array], *, batch: int, dtype: np.dtype) -> Array:
    """State leaves, layer by layer, each `[batch, units]`, as one padded matrix `[batch, state]`."""
    rows = np.zeros((batch, layout.state), dtype)
    for index, leaf in enumerate(leaves):
        at, units = _leaf(layout, index)
        rows[:, at : at + units] = leaf
    return rows


def cut_rows(layout: Layout, rows: Array) -> list[Array]:
    """The leaves `[batch, units]` of a padded matrix `[batch, state]`."""
    places = [_leaf(layout, index) for index in range(layout.leaves * len(layout.layers))]
    return [np.ascontiguousarray(rows[:, at : at + units]) for at, units in places]


def _leaf(layout: Layout, index: int) -> tuple[int, int]:
    layer = layout.layers[index // layout.leaves]
    return int(layer[OLD_AT] + index % layout.leaves * layer[WIDTH]), int(layer[UNITS])


def _matrices(spec: CellSpec, parameters: Mapping[str, Array], layer: int) -> tuple[Array, Array]:
    """One layer's weights `[inputs + units, gates, units]` and biases `[gates, units]`, a GRU's parts side by side."""
    units = spec.units[layer]
    prefix = f"layers.{layer}."
    parts = [
        (parameters[f"{prefix}{matrix.prefix}weights"], parameters[f"{prefix}{matrix.prefix}biases"])
        for matrix in spec.kind.matrices
    ]
    weights = np.concatenate([part.reshape(len(part), -1, units) for part, _ in parts], axis=1)
    return weights, np.concatenate([bias.reshape(-1, units) for _, bias in parts])


def pack_parameters(
    spec: CellSpec, layout: Layout, parameters: Mapping[str, Array], *, dtype: np.dtype, backward: bool
) -> Weights:
    """The parameters in the kernels' buffers; those that only the gradient needs where `backward`."""
    forward = np.zeros(layout.weights, dtype)
    back = np.zeros(layout.back if backward else 0, dtype)
    norms = np.zeros(layout.norms, dtype)
    for number, (layer, inputs) in enumerate(zip(layout.layers, layer_input_sizes(spec), strict=True)):
        units, width, below = int(layer[UNITS]), int(layer[WIDTH]), int(layer[INPUTS])
        weights, biases = _matrices(spec, parameters, number)
        square = np.zeros((width, layout.gates, width), dtype)
        square[:units, :, :units] = weights[inputs:]
        reading = np.zeros((below + 1, layout.gates, width), dtype)
        reading[:inputs, :, :units] = weights[:inputs]
        reading[below, :, :units] = biases
        columns = layout.gates * width
        reading_rows, square_rows = reading.reshape(below + 1, columns), square.reshape(width, columns)
        pack(reading_rows, 0, 0, below + 1, columns, forward, int(layer[INPUT_WEIGHTS_AT]))
        pack(square_rows, 0, 0, width, columns, forward, int(layer[STATE_WEIGHTS_AT]))
        if backward:
            early, input_width = layout.early * width, int(layer[INPUT_WIDTH])
            turned = np.zeros((columns, input_width), dtype)
            turned[:, :below] = reading_rows[:below].T
            pack(turned, 0, 0, columns, input_width, back, int(layer[INPUT_BACK_AT]))
            turned = np.ascontiguousarray(square_rows.T)
            pack(turned, 0, 0, early, width, back, int(layer[STATE_BACK_AT]))
            pack(turned, early, 0, columns - early, width, back, int(layer[CANDIDATE_BACK_AT]))
        if layout.norm:
            size = 2 * layout.early * width
            rows = norms[layer[NORM_AT] : layer[NORM_AT] + size].reshape(2, layout.early, width)
            rows[0, :, :units] = parameters[f"layers.{number}.norm_gains"]
            rows[1, :, :units] = parameters[f"layers.{number}.norm_biases"]
    gate, gate_bias = np.zeros(0, dtype), np.zeros(1, dtype)
    if spec.skips:
        gate = np.zeros(int(layout.layers[spec.gate_layer][WIDTH]), dtype)
        gate[: spec.units[spec.gate_layer]] = parameters["update_gate.weights"][:, 0]
        gate_bias = np.array(parameters["update_gate.biases"], dtype)
    return Weights(forward, back, norms, gate, gate_bias, np.array([spec.forget_bias], dtype))


def cut_gradients(
    spec: CellSpec, layout: Layout, *, weights: Array, norms: Array, gate: Array, gate_bias: Array
) -> dict[str, Array]:
    """Gradients under canonical names from the kernels' buffers: `weights`, `norms` flat, the others likewise."""
    gradients: dict[str, Array] = {}
    for number, (layer, inputs) in enumerate(zip(layout.layers, layer_input_sizes(spec), strict=True)):
        units, width, below = int(layer[UNITS]), int(layer[WIDTH]), int(layer[INPUTS])
        prefix = f"layers.{number}."
        across, first = width + int(layer[READ_WIDTH]), int(layer[GRADIENT_AT])
        rows = weights[first : first + layout.gates * width * across].reshape(layout.gates, width, across)
        turned = rows[:, :units].transpose(2, 0, 1)
        reading = turned[width:]
        whole = np.concatenate([reading[:inputs], turned[:units]])
        first_gate = 0
        for matrix in spec.kind.matrices:
            part = slice(first_gate, first_gate + len(matrix.gates))
            gradients[f"{prefix}{matrix.prefix}weights"] = whole[:, part].reshape(inputs + units, -1)
            gradients[f"{prefix}{matrix.prefix}biases"] = reading[below, part].reshape(-1)
            first_gate = part.stop
        if layout.norm:
            size = 2 * layout.early * width
            rows = norms[layer[NORM_AT] : layer[NORM_AT] + size].reshape(2, layout.early, width)
            gradients[f"{prefix}norm_gains"] = rows[0, :, :units].copy()
            gradients[f"{prefix}norm_biases"] = rows[1, :, :units].copy()
    if spec.skips:
        gradients["update_gate.weights"] = gate[: spec.units[spec.gate_layer], None].copy()
        gradients["update_gate.biases"] = gate_bias.copy()
    return gradients
