"""One step of a cell for several sequences at once."""

from __future__ import annotations

from impls.pytorch.engines.kernels.compiled import compiled
from impls.pytorch.engines.kernels.layer_norm import normalise
from impls.pytorch.engines.kernels.layout import (
    CHANGE_AT,
    GATES_AT,
    INPUT_WEIGHTS_AT,
    INPUTS,
    LSTM,
    NORM_AT,
    OLD_AT,
    PRE_AT,
    READ_AT,
    RESET_AT,
    STATE_AT,
    STATE_WEIGHTS_AT,
    UNITS,
    WIDTH,
)
from impls.pytorch.engines.kernels.passes import gru_candidate, gru_gates, lstm_candidate
from impls.pytorch.engines.kernels.products import multiply
from impls.pytorch.engines.kernels.rows import copy

BLOCK_ROWS = 12  # steps that are done to their end before the next ones: few enough for the nearest cache


@compiled()
def recur(layout, forward, old, pre, rows):
    """The products of old states, into the early gates of `pre`, `[rows, changes]`."""
    for layer in layout.layers:
        width = layer[WIDTH]
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        columns = layout.early * width
        weights_at = layer[STATE_WEIGHTS_AT]
        multiply(old, 0, h_at, False, rows, width, forward, weights_at, columns, pre, 0, layer[CHANGE_AT], False)


@compiled(inlined=True)
def _clear_padding(pre, rows, first, gates, width, units):
    """Zeros in the padding of pre-activations: what is infinite times the zeros of its weights is NaN."""
    if units < width:
        for row in range(rows):
            for gate in range(gates):
                start = first + gate * width
                pre[row, start + units : start + width] = 0


@compiled()
def advance(layout, weights, pre, read, reset, old, new, records, at, rows):
    """Candidates of `rows` records.

    Args:
        layout, weights: the cell.
        pre: `[rows, changes]`, pre-activations; the early gates hold the products of the old states.
        read: `[rows, read]`; the bottom layer's columns are filled.
        reset: `[rows, reset]`, to work in.
        old: `[rows, state]`, the states before.
        new: `[rows, state]`, to be the candidate states; may be `old`.
        records, at, rows: which records to fill.
    """
    forward, norms = weights.forward, weights.norms
    for number in range(layout.layers.shape[0]):
        layer = layout.layers[number]
        width, inputs, gates_at, state_at = layer[WIDTH], layer[INPUTS], layer[GATES_AT], layer[STATE_AT]
        pre_at = layer[CHANGE_AT]
        read_at, old_at, reset_at = layer[READ_AT], layer[OLD_AT], layer[RESET_AT]
        if number > 0:
            lower = layout.layers[number - 1]
            below_at = lower[STATE_AT] + (layout.leaves - 1) * lower[WIDTH]
            for row in range(rows):
                copy(records[at + row, below_at : below_at + inputs], read[row, read_at : read_at + inputs])
                read[row, read_at + inputs] = 1
        early = layout.early * width
        first = layer[INPUT_WEIGHTS_AT]
        multiply(read, 0, read_at, False, rows, inputs + 1, forward, first, early, pre, 0, pre_at, True)
        _clear_padding(pre, rows, pre_at, layout.early, width, layer[UNITS])
        if layout.norm:
            for row in range(rows):
                for gate in range(layout.early):
                    place = pre_at + gate * width
                    kept = layer[PRE_AT] + gate * width
                    gain = layer[NORM_AT] + gate * width
                    bias = gain + early
                    source = records[at + row, kept : kept + width]
                    target = pre[row, place : place + width]
                    copy(target, source)
                    normalise(source, norms[gain : gain + width], norms[bias : bias + width], layer[UNITS], target)
        if layout.kind == LSTM:
            for row in range(rows):
                lstm_candidate(
                    layout.activation,
                    (
                        pre[row, pre_at : pre_at + early],
                        records[at + row, gates_at:state_at],
                        weights.forget,
                        old[row, old_at : old_at + width],
                        records[at + row, state_at : state_at + 2 * width],
                        new[row, old_at : old_at + 2 * width],
                    ),
                )
        else:
            candidate_at, late_at = gates_at + early, pre_at + early
            first += early * (inputs + 1)
            multiply(read, 0, read_at, False, rows, inputs + 1, forward, first, width, pre, 0, late_at, False)
            for row in range(rows):
                gru_gates(
                    0,
                    (
                        pre[row, pre_at:late_at],
                        records[at + row, gates_at:candidate_at],
                        old[row, old_at : old_at + width],
                        reset[row, reset_at : reset_at + width],
                    ),
                )
            first = layer[STATE_WEIGHTS_AT] + early * width
            multiply(reset, 0, reset_at, False, rows, width, forward, first, width, pre, 0, late_at, True)
            _clear_padding(pre, rows, late_at, 1, width, layer[UNITS])
            for row in range(rows):
                gru_candidate(
                    layout.activation,
                    (
                        records[at + row, gates_at + width : candidate_at],
                        pre[row, late_at : late_at + width],
                        records[at + row, candidate_at:state_at],
                        old[row, old_at : old_at + width],
                        records[at + row, state_at : state_at + width],
                        new[row, old_at : old_at + width],
                    ),
                )


@compiled()
def take_state(layout, records, at, target):
    """Copies the candidate state of a record."""
    for layer in layout.layers:
        size = layout.leaves * layer[WIDTH]
        copy(records[at, layer[STATE_AT] : layer[STATE_AT] + size], target[layer[OLD_AT] : layer[OLD_AT] + size])


@compiled()
def take_input(inputs, row, time, read):
    """Copies one step of the inputs, and a one for the bias."""
    features = inputs.shape[2]
    copy(inputs[row, time], read[:features])
    read[features] = 1
