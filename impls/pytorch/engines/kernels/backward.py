"""The gradient of `forward.py`, compiled: the rounds of a slab from the last to the first.

`docs/engines.md` derives it.
"""

from __future__ import annotations

import numpy as np

from impls.pytorch.engines.kernels.candidates import BLOCK_ROWS, advance, take_input, take_state
from impls.pytorch.engines.kernels.compiled import borrowed, compiled
from impls.pytorch.engines.kernels.denormals import denormals_as_before, denormals_to_zero
from impls.pytorch.engines.kernels.layer_norm import normalise_back
from impls.pytorch.engines.kernels.layout import (
    CANDIDATE_BACK_AT,
    CHANGE_AT,
    GATES_AT,
    GRADIENT_AT,
    HELD_AT,
    INPUT_BACK_AT,
    INPUT_WIDTH,
    LSTM,
    NORM_AT,
    OLD_AT,
    PRE_AT,
    READ_AT,
    READ_WIDTH,
    RESET_AT,
    ROUND,
    STATE_AT,
    STATE_BACK_AT,
    UNITS,
    WIDTH,
)
from impls.pytorch.engines.kernels.passes import gate_back, gru_back, gru_reset_back, leave_update, lstm_back
from impls.pytorch.engines.kernels.products import multiply, pack
from impls.pytorch.engines.kernels.rows import add, along, copy, expect
from impls.pytorch.engines.kernels.skip_gate import update_probability

CHUNK_ROWS = 128  # updates whose weight gradients are gathered before one product


@compiled()
def _before(given, results, row, t):
    """The stored ũ before a step: the cumulative value, or 0 after an update."""
    if t == 0:
        return given.stored[row]
    zero = given.stored.dtype.type(0)
    return zero if results.gates[row, t - 1] != 0 else results.cumulative[row, t - 1]


@compiled()
def _skip_back(layout, weights, given, results, tape, flow, state, probability, stored, skips, rows, scratch):
    """The gradient through skipped steps: a scalar recursion, fed by each step's candidate.

    Args:
        layout, weights, given, results, tape, flow: of the run.
        state, probability, stored: `[batch, …]`, the gradients of the carried state, changed in place.
        skips: `[steps, 3]`: sequence, time step, record of the last update or -1; a sequence's steps stand from
            the last to the first.
        rows: how many of them.
        scratch: pre-activations, records, old states, candidates, read, reset: `[steps, …]`, to work in.
    """
    pre, records, old, new, read, reset = scratch
    top = layout.layers[layout.layers.shape[0] - 1]
    top_at = top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    units, fed_at = top[UNITS], layout.fed_at
    one = state.dtype.type(1)
    for index in range(rows):
        row, t, last = skips[index]
        slot = tape.first_slot[row] if last < 0 else tape.slot[last]
        if last < 0:
            copy(given.state[row], old[index])
        else:
            take_state(layout, tape.records, last, old[index])
        for layer in layout.layers:
            size = layout.early * layer[WIDTH]
            held = tape.held[slot, layer[HELD_AT] : layer[HELD_AT] + size]
            copy(held, pre[index, layer[CHANGE_AT] : layer[CHANGE_AT] + size])
        take_input(given.inputs, row, t, read[index])
    advance(layout, weights, pre, read, reset, old, new, records, np.int64(0), rows)
    for index in range(rows):
        row, t, last = skips[index]
        if flow.h.size > 0:
            add(flow.h[row, t], state[row, top_at : top_at + units])
        fed = new[index, fed_at : fed_at + weights.gate.size]
        proposed = update_probability(weights.gate, weights.gate_bias, fed)
        carried = given.probability[row] if last < 0 else tape.proposed[last]
        change = along(state[row], new[index], old[index])
        change += probability[row] * (proposed - carried) - stored[row] * results.cumulative[row, t]
        change += stored[row]
        if flow.gates.size > 0:
            change += flow.gates[row, t]
        if carried <= one - _before(given, results, row, t):
            probability[row] += change
            stored[row] = change
        else:
            stored[row] = 0


@compiled()
def _update_back(layout, weights, tape, at, rows, flow, old, read, reset, changes, chunk_at, work, norms):
    """The gradient through the layers at `rows` updates.

    Args:
        layout, weights, tape: of the run.
        at, rows: which records.
        flow: `[rows, state]`, the gradients of the candidates, replaced by those of the states before.
        old, read, reset, changes, chunk_at: the chunk of updates whose weight gradients are being gathered, and
            where in it these updates stand; `changes` is filled, and `reset`.
        work: `[rows, at least the widest layer or input]`, to work in.
        norms: flat, gradients of layer norm, added to.
    """
    back, records = weights.back, tape.records
    for number in range(layout.layers.shape[0] - 1, -1, -1):
        layer = layout.layers[number]
        width, gates_at, state_at = layer[WIDTH], layer[GATES_AT], layer[STATE_AT]
        old_at, change_at, reset_at = layer[OLD_AT], layer[CHANGE_AT], layer[RESET_AT]
        h_at = old_at + (layout.leaves - 1) * width
        early = layout.early * width
        if layout.kind == LSTM:
            for row in range(rows):
                lstm_back(
                    layout.activation,
                    (
                        records[at + row, gates_at:state_at],
                        records[at + row, state_at : state_at + width],
                        old[chunk_at + row, old_at : old_at + width],
                        flow[row, old_at : old_at + width],
                        flow[row, h_at : h_at + width],
                        changes[chunk_at + row, change_at : change_at + 4 * width],
                    ),
                )
        else:
            late_at, candidate_at = change_at + early, gates_at + early
            for row in range(rows):
                gru_back(
                    layout.activation,
                    (
                        records[at + row, gates_at + width : candidate_at],
                        records[at + row, candidate_at:state_at],
                        old[chunk_at + row, old_at : old_at + width],
                        flow[row, h_at : h_at + width],
                        changes[chunk_at + row, change_at + width : late_at],
                        changes[chunk_at + row, late_at : late_at + width],
                    ),
                )
            first = layer[CANDIDATE_BACK_AT]
            multiply(changes, chunk_at, late_at, False, rows, width, back, first, width, work, 0, 0, False)
            for row in range(rows):
                gru_reset_back(
                    0,
                    (
                        records[at + row, gates_at : gates_at + width],
                        old[chunk_at + row, old_at : old_at + width],
                        reset[chunk_at + row, reset_at : reset_at + width],
                        work[row, 0:width],
                        flow[row, h_at : h_at + width],
                        changes[chunk_at + row, change_at : change_at + width],
                    ),
                )
        if layout.norm:
            for row in range(rows):
                for gate in range(layout.early):
                    kept, gain = layer[PRE_AT] + gate * width, layer[NORM_AT] + gate * width
                    place = change_at + gate * width
                    normalise_back(
                        records[at + row, kept : kept + width],
                        weights.norms[gain : gain + width],
                        layer[UNITS],
                        changes[chunk_at + row, place : place + width],
                        norms[gain : gain + width],
                        norms[gain + early : gain + early + width],
                    )
        # The state's own path: an LSTM's h reaches on only through the gates, a GRU's also past them.
        adds = layout.kind != LSTM
        first = layer[STATE_BACK_AT]
        multiply(changes, chunk_at, change_at, False, rows, early, back, first, width, flow, 0, h_at, adds)
        columns, first = layout.gates * width, layer[INPUT_BACK_AT]
        if number > 0:
            lower = layout.layers[number - 1]
            below_at = lower[OLD_AT] + (layout.leaves - 1) * lower[WIDTH]
            for row in range(rows):
                inputs_at = lower[STATE_AT] + (layout.leaves - 1) * lower[WIDTH]
                place = layer[READ_AT]
                copy(
                    records[at + row, inputs_at : inputs_at + lower[WIDTH]],
                    read[chunk_at + row, place : place + lower[WIDTH]],
                )
                read[chunk_at + row, place + lower[WIDTH]] = 1
            multiply(
                changes, chunk_at, change_at, False, rows, columns, back, first, lower[WIDTH], flow, 0, below_at, True
            )


@compiled()
def _gather_weights(layout, old, read, reset, changes, rows, packed, gradient):
    """Adds the weight gradients of `rows` gathered updates to the flat `gradient`."""
    for layer in layout.layers:
        width, read_width, change_at = layer[WIDTH], layer[READ_WIDTH], layer[CHANGE_AT]
        early, late, across = layout.early * width, (layout.gates - layout.early) * width, width + read_width
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        first, second = layer[GRADIENT_AT], layer[GRADIENT_AT] + early * across
        # What the gates read is narrower than their changes, so that it is the one to pack.
        pack(read, 0, layer[READ_AT], rows, read_width, packed, width * rows)
        pack(old, 0, h_at, rows, width, packed, 0)
        result = gradient[first:second].reshape((early, across))
        multiply(changes, 0, change_at, True, early, rows, packed, 0, across, result, 0, 0, True)
        if layout.kind != LSTM:
            pack(reset, 0, layer[RESET_AT], rows, width, packed, 0)
            result = gradient[second : second + late * across].reshape((late, across))
            multiply(changes, 0, change_at + early, True, late, rows, packed, 0, across, result, 0, 0, True)


@compiled(from_python=True)
def run_backward(layout, weights, given, results, tape, flow, gradients, slab, first, end):
    """The gradient of `run_forward` for the same sequences; parameters' gradients go to row `slab`."""
    control = denormals_to_zero()  # type: ignore[var-annotated]
    layout, weights, given = borrowed(layout), borrowed(weights), borrowed(given)
    results, tape, flow, gradients = borrowed(results), borrowed(tape), borrowed(flow), borrowed(gradients)
    count, steps = end - first, given.inputs.shape[1]
    features = given.inputs.shape[2]
    top = layout.layers[layout.layers.shape[0] - 1]
    units, top_at = top[UNITS], top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    gated = layout.decision >= ROUND
    dtype = given.state.dtype
    one = dtype.type(1)
    widest = across = np.int64(0)
    for layer in layout.layers:
        widest = max(widest, layer[WIDTH], layer[INPUT_WIDTH])
        across = max(across, layer[WIDTH] + layer[READ_WIDTH])
    old = np.empty((CHUNK_ROWS, layout.state), dtype)
    read = np.zeros((CHUNK_ROWS, layout.read), dtype)
    reset = np.empty((CHUNK_ROWS, layout.reset), dtype)
    changes = np.empty((CHUNK_ROWS, layout.changes), dtype)
    packed = np.empty(CHUNK_ROWS * across, dtype)
    work = np.empty((BLOCK_ROWS, widest), dtype)
    moving = np.empty((BLOCK_ROWS, layout.state), dtype)
    scalar = np.empty(1, dtype)
    skips = np.empty((BLOCK_ROWS, 3), np.int64)
    rows = BLOCK_ROWS if gated else 0
    scratch = (
        np.empty((rows, layout.changes), dtype),
        np.empty((rows, layout.record), dtype),
        np.empty((rows, layout.state), dtype),
        np.empty((rows, layout.state), dtype),
        np.empty((rows, layout.read), dtype),
        np.empty((rows, layout.reset), dtype),
    )
    state, probability, stored = gradients.state, gradients.probability, gradients.stored
    for row in range(first, end):
        copy(flow.state[row], state[row])
        probability[row], stored[row] = flow.probability[row], flow.stored[row]
    first_state = layout.layers[0][STATE_AT]
    last_state = top[STATE_AT] + layout.leaves * top[WIDTH]
    until = np.full(count, steps)  # the first step after the run of skips that comes next, going back
    filled = np.int64(0)  # rows of the chunk

    # One round more than updates: the last one is the steps before the first update.
    for number in range(tape.rounds[first], -1, -1):
        starts = number == 0
        at = np.int64(0) if starts else tape.round_starts[first, number - 1]
        alive = count if starts else tape.round_starts[first, number] - at

        pending = np.int64(0)
        for index in range(alive):
            row = first + index if starts else tape.row[at + index]
            t = -1 if starts else tape.time[at + index]
            for step in range(until[row - first] - 1, t, -1):
                if gated:
                    skips[pending, 0], skips[pending, 1] = row, step
                    skips[pending, 2] = -1 if starts else at + index
                    pending += 1
                    if pending == BLOCK_ROWS:
                        _skip_back(
                            layout,
                            weights,
                            given,
                            results,
                            tape,
                            flow,
                            state,
                            probability,
                            stored,
                            skips,
                            pending,
                            scratch,
                        )
                        pending = np.int64(0)
                elif flow.h.size > 0:
                    add(flow.h[row, step], state[row, top_at : top_at + units])
            until[row - first] = t
        if pending > 0:
            _skip_back(layout, weights, given, results, tape, flow, state, probability, stored, skips, pending, scratch)
        if starts:
            break

        for start in range(0, alive, BLOCK_ROWS):
            rows = min(BLOCK_ROWS, alive - start)
            if filled + rows > CHUNK_ROWS:
                _gather_weights(layout, old, read, reset, changes, filled, packed, gradients.weights[slab])
                filled = np.int64(0)
            for index in range(rows):
                record = at + start + index
                row, t, previous = tape.row[record], tape.time[record], tape.previous[record]
                take_input(given.inputs, row, t, read[filled + index])
                if flow.h.size > 0:
                    add(flow.h[row, t], state[row, top_at : top_at + units])
                before, moved = old[filled + index], moving[index]
                scalar[0] = 0
                for layer in layout.layers:
                    first_old, first_new = layer[OLD_AT], layer[STATE_AT]
                    end_old, end_new = (
                        first_old + layout.leaves * layer[WIDTH],
                        first_new + layout.leaves * layer[WIDTH],
                    )
                    leave_update(
                        0,
                        (
                            tape.records[record, first_new:end_new],
                            given.state[row, first_old:end_old]
                            if previous < 0
                            else tape.records[previous, first_new:end_new],
                            state[row, first_old:end_old],
                            before[first_old:end_old],
                            moved[first_old:end_old],
                            scalar,
                        ),
                    )
                if gated:
                    proposed = tape.proposed[record]
                    carried = given.probability[row] if previous < 0 else tape.proposed[previous]
                    change = scalar[0]
                    change += probability[row] * (proposed - carried) - stored[row] * results.cumulative[row, t]
                    if flow.gates.size > 0:
                        change += flow.gates[row, t]
                    logit = probability[row] * proposed * (one - proposed)
                    if logit != 0:
                        scalar[0] = logit
                        gate_back(
                            0,
                            (
                                scalar,
                                tape.records[record, layout.fed_record_at : layout.fed_record_at + weights.gate.size],
                                weights.gate,
                                gradients.gate[slab],
                                moved[layout.fed_at : layout.fed_at + weights.gate.size],
                            ),
                        )
                        gradients.gate_bias[slab, 0] += logit
                    if carried > one - _before(given, results, row, t):
                        change = dtype.type(0)
                    probability[row] = change
                    stored[row] = change
            for record in range(at + start + rows, at + min(start + rows + BLOCK_ROWS, alive)):
                expect(tape.records, record, 0, layout.record, False)
                if tape.previous[record] >= 0:
                    expect(tape.records, tape.previous[record], first_state, last_state, False)
            _update_back(
                layout,
                weights,
                tape,
                at + start,
                rows,
                moving,
                old,
                read,
                reset,
                changes,
                filled,
                work,
                gradients.norms[slab],
            )
            for index in range(rows):
                copy(moving[index], state[tape.row[at + start + index]])
            if gradients.inputs.size > 0:
                layer = layout.layers[0]
                columns, back_at, across = layout.gates * layer[WIDTH], layer[INPUT_BACK_AT], layer[INPUT_WIDTH]
                multiply(
                    changes,
                    filled,
                    layer[CHANGE_AT],
                    False,
                    rows,
                    columns,
                    weights.back,
                    back_at,
                    across,
                    work,
                    0,
                    0,
                    False,
                )
                for index in range(rows):
                    record = at + start + index
                    copy(work[index, 0:features], gradients.inputs[tape.row[record], tape.time[record]])
            filled += rows
    if filled > 0:
        _gather_weights(layout, old, read, reset, changes, filled, packed, gradients.weights[slab])
    denormals_as_before(control)
