"""What an update does to the gradient: through the skip gate, and through the layers from the top to the bottom."""

from __future__ import annotations

from impls.pytorch.engines.kernels.compiled import compiled
from impls.pytorch.engines.kernels.layer_norm import normalise_back
from impls.pytorch.engines.kernels.layout import (
    CANDIDATE_BACK_AT,
    CHANGE_AT,
    GATES_AT,
    INPUT_BACK_AT,
    INPUT_WIDTH,
    LSTM,
    NORM_AT,
    OLD_AT,
    PRE_AT,
    READ_AT,
    RESET_AT,
    ROUND,
    STATE_AT,
    STATE_BACK_AT,
    UNITS,
    WIDTH,
)
from impls.pytorch.engines.kernels.passes import gate_back, gru_back, gru_reset_back, leave_update, lstm_back
from impls.pytorch.engines.kernels.products import multiply
from impls.pytorch.engines.kernels.rows import copy
from impls.pytorch.engines.kernels.skips import add_flow, carried_probability, follows_probability


@compiled(inlined=True)
def enter_update(layout, weights, sequences, results, tape, flow, gradients, chunk, slab, record, at, index):
    """The gradient of one update's candidate, and that of the skip gate before it.

    Args:
        layout, weights, sequences, results, tape, flow, gradients, chunk, slab: of the run.
        record: the update.
        at: where it stands in the chunk; its state before is written there.
        index: its row in `chunk.moving`, where the candidate's gradient is written.
    """
    row, t, previous = tape.row[record], tape.time[record], tape.previous[record]
    add_flow(layout, flow, gradients, row, t)
    old, moved, scalar = chunk.old[at], chunk.moving[index], chunk.scalar
    scalar[0] = 0
    for layer in layout.layers:
        size = layout.leaves * layer[WIDTH]
        first_old, first_new = layer[OLD_AT], layer[STATE_AT]
        end_old, end_new = first_old + size, first_new + size
        leave_update(
            0,
            (
                tape.records[record, first_new:end_new],
                sequences.state[row, first_old:end_old] if previous < 0 else tape.records[previous, first_new:end_new],
                gradients.state[row, first_old:end_old],
                old[first_old:end_old],
                moved[first_old:end_old],
                scalar,
            ),
        )
    if layout.decision < ROUND:
        return
    proposed, carried = tape.proposed[record], carried_probability(sequences, tape, row, previous)
    probability = gradients.probability[row]
    change = scalar[0]
    change += probability * (proposed - carried) - gradients.stored[row] * results.cumulative[row, t]
    if flow.gates.size > 0:
        change += flow.gates[row, t]
    logit = probability * proposed * (scalar.dtype.type(1) - proposed)
    if logit != 0:
        scalar[0] = logit
        size = weights.gate.size
        fed = tape.records[record, layout.fed_record_at : layout.fed_record_at + size]
        moved_fed = moved[layout.fed_at : layout.fed_at + size]
        gate_back(0, (scalar, fed, weights.gate, gradients.gate[slab], moved_fed))
        gradients.gate_bias[slab, 0] += logit
    if not follows_probability(sequences, results, carried, row, t):
        change = scalar.dtype.type(0)
    gradients.probability[row] = change
    gradients.stored[row] = change


@compiled(inlined=True)
def _pass_lstm(layout, layer, records, at, rows, chunk, chunk_at):
    """The gradient through the gates of an LSTM layer, at `rows` updates."""
    width, gates_at, state_at = layer[WIDTH], layer[GATES_AT], layer[STATE_AT]
    c_at, change_at = layer[OLD_AT], layer[CHANGE_AT]
    h_at = c_at + width
    for row in range(rows):
        lstm_back(
            layout.activation,
            (
                records[at + row, gates_at:state_at],
                records[at + row, state_at : state_at + width],
                chunk.old[chunk_at + row, c_at : c_at + width],
                chunk.moving[row, c_at : c_at + width],
                chunk.moving[row, h_at : h_at + width],
                chunk.changes[chunk_at + row, change_at : change_at + 4 * width],
            ),
        )


@compiled(inlined=True)
def _pass_gru(layout, layer, weights, records, at, rows, chunk, chunk_at):
    """The same of a GRU layer, whose reset gate stands before a product of its own."""
    width, gates_at, h_at = layer[WIDTH], layer[GATES_AT], layer[OLD_AT]
    r_at, reset_at = layer[CHANGE_AT], layer[RESET_AT]
    z_at, candidate_at = r_at + width, r_at + 2 * width
    for row in range(rows):
        record, old, changes = records[at + row], chunk.old[chunk_at + row], chunk.changes[chunk_at + row]
        gru_back(
            layout.activation,
            (
                record[gates_at + width : gates_at + 2 * width],
                record[gates_at + 2 * width : gates_at + 3 * width],
                old[h_at : h_at + width],
                chunk.moving[row, h_at : h_at + width],
                changes[z_at : z_at + width],
                changes[candidate_at : candidate_at + width],
            ),
        )
    first = layer[CANDIDATE_BACK_AT]
    multiply(
        chunk.changes, chunk_at, candidate_at, False, rows, width, weights.back, first, width, chunk.work, 0, 0, False
    )
    for row in range(rows):
        gru_reset_back(
            0,
            (
                records[at + row, gates_at : gates_at + width],
                chunk.old[chunk_at + row, h_at : h_at + width],
                chunk.reset[chunk_at + row, reset_at : reset_at + width],
                chunk.work[row, 0:width],
                chunk.moving[row, h_at : h_at + width],
                chunk.changes[chunk_at + row, r_at : r_at + width],
            ),
        )


@compiled()
def _pass_layer_norm(layout, layer, weights, records, at, rows, chunk, chunk_at, norms):
    """The gradient through the layer norm of the early gates; those of its gains and biases are added to `norms`."""
    width, early = layer[WIDTH], layout.early * layer[WIDTH]
    for row in range(rows):
        for gate in range(layout.early):
            kept, gain = layer[PRE_AT] + gate * width, layer[NORM_AT] + gate * width
            place = layer[CHANGE_AT] + gate * width
            normalise_back(
                records[at + row, kept : kept + width],
                weights.norms[gain : gain + width],
                layer[UNITS],
                chunk.changes[chunk_at + row, place : place + width],
                norms[gain : gain + width],
                norms[gain + early : gain + early + width],
            )


@compiled()
def _read_below(layout, layer, lower, records, at, rows, read, chunk_at):
    """Copies what an upper layer read: the candidate h of the layer below, and a one for the bias."""
    width, place = lower[WIDTH], layer[READ_AT]
    h_at = lower[STATE_AT] + (layout.leaves - 1) * width
    for row in range(rows):
        copy(records[at + row, h_at : h_at + width], read[chunk_at + row, place : place + width])
        read[chunk_at + row, place + width] = 1


@compiled()
def pass_updates(layout, weights, tape, at, rows, chunk, chunk_at, norms):
    """The gradient through the layers at `rows` updates.

    Args:
        layout, weights, tape: of the run.
        at, rows: which records.
        chunk, chunk_at: where these updates stand in the chunk. `chunk.moving` holds the gradients of the candidates
            and is left with those of the states before; what the weight gradients read is filled in.
        norms: flat, gradients of layer norm, added to.
    """
    back, records, changes, flow = weights.back, tape.records, chunk.changes, chunk.moving
    for number in range(layout.layers.shape[0] - 1, -1, -1):
        layer = layout.layers[number]
        width, change_at = layer[WIDTH], layer[CHANGE_AT]
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        if layout.kind == LSTM:
            _pass_lstm(layout, layer, records, at, rows, chunk, chunk_at)
        else:
            _pass_gru(layout, layer, weights, records, at, rows, chunk, chunk_at)
        if layout.norm:
            _pass_layer_norm(layout, layer, weights, records, at, rows, chunk, chunk_at, norms)
        # The state's own path: an LSTM's h reaches on only through the gates, a GRU's also past them.
        adds = layout.kind != LSTM
        early, first = layout.early * width, layer[STATE_BACK_AT]
        multiply(changes, chunk_at, change_at, False, rows, early, back, first, width, flow, 0, h_at, adds)
        if number > 0:
            lower = layout.layers[number - 1]
            _read_below(layout, layer, lower, records, at, rows, chunk.read, chunk_at)
            below_at = lower[OLD_AT] + (layout.leaves - 1) * lower[WIDTH]
            columns, first = layout.gates * width, layer[INPUT_BACK_AT]
            across = lower[WIDTH]
            multiply(changes, chunk_at, change_at, False, rows, columns, back, first, across, flow, 0, below_at, True)


@compiled()
def pass_inputs(layout, weights, tape, at, rows, chunk, chunk_at, inputs):
    """The gradients of the inputs at `rows` updates, into `inputs` `[batch, time, features]`."""
    layer, features = layout.layers[0], inputs.shape[2]
    columns, first, across = layout.gates * layer[WIDTH], layer[INPUT_BACK_AT], layer[INPUT_WIDTH]
    change_at, work = layer[CHANGE_AT], chunk.work
    multiply(chunk.changes, chunk_at, change_at, False, rows, columns, weights.back, first, across, work, 0, 0, False)
    for row in range(rows):
        copy(work[row, 0:features], inputs[tape.row[at + row], tape.time[at + row]])
