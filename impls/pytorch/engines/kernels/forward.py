"""The fast engine's time loop, compiled: a slab of sequences by one worker, round after round.

Round k holds the k-th update of every sequence that has one, whatever its time step, so the products are dense
however seldom a gate fires. `docs/engines.md` derives the algorithm.
"""

from __future__ import annotations

import numpy as np

from impls.pytorch.engines.kernels.candidates import BLOCK_ROWS, advance, recur, take_input
from impls.pytorch.engines.kernels.compiled import borrowed, compiled
from impls.pytorch.engines.kernels.denormals import denormals_as_before, denormals_to_zero
from impls.pytorch.engines.kernels.layout import (
    CHANGE_AT,
    HELD_AT,
    OLD_AT,
    ROUND,
    STATE_AT,
    STATE_WEIGHTS_AT,
    UNITS,
    WIDTH,
)
from impls.pytorch.engines.kernels.products import multiply
from impls.pytorch.engines.kernels.queue import take
from impls.pytorch.engines.kernels.rows import copy, expect
from impls.pytorch.engines.kernels.skip_gate import fired, next_update, update_probability


@compiled(inlined=True)
def _repeat_h(layout, state, results, row, start, end):
    """Writes the h of a state at the steps from `start` to `end`, where h is wanted at every step."""
    if results.h.shape[1] == 0:
        return
    top = layout.layers[layout.layers.shape[0] - 1]
    top_at = top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    for step in range(start, end):
        copy(state[top_at : top_at + top[UNITS]], results.h[row, step])


@compiled()
def _begin(layout, sequences, results, tape, keep, first, end, live, time, before, old):
    """Finds every sequence's first update; returns how many sequences have one.

    Args:
        layout, sequences, results, tape, keep, first, end: as `run_forward` has them.
        live, time, before: `[sequences]`, to be filled: those with an update, its step, and that before it, -1.
        old: `[sequences, state]`, to be filled with their states.
    """
    alive = np.int64(0)
    for row in range(first, end):
        state, length = sequences.state[row], sequences.lengths[row]
        t = next_update(
            layout.decision,
            sequences.probability[row],
            sequences.stored[row],
            np.int64(0),
            length,
            sequences.draws[row],
            results.cumulative[row],
        )
        results.probability[row] = sequences.probability[row]
        if keep:
            tape.last[row] = -1
            tape.first_slot[row] = -1
        if t == length:
            _repeat_h(layout, state, results, row, np.int64(0), sequences.inputs.shape[1])
            copy(state, results.state[row])
        else:
            _repeat_h(layout, state, results, row, np.int64(0), t)
            copy(state, old[alive])
            live[alive], time[alive], before[alive] = row, t, -1
            alive += 1
    return alive


@compiled(inlined=True)
def _hold(layout, pre, row, held, slot):
    """Keeps a row of early gates, while they are still products of the old state alone."""
    for layer in layout.layers:
        size = layout.early * layer[WIDTH]
        source = pre[row, layer[CHANGE_AT] : layer[CHANGE_AT] + size]
        copy(source, held[slot, layer[HELD_AT] : layer[HELD_AT] + size])


@compiled(inlined=True)
def _note(tape, record, row, t):
    """Writes on the tape that this record is an update of a sequence."""
    tape.row[record] = row
    tape.time[record] = t
    tape.previous[record] = tape.last[row]
    tape.slot[record] = -1
    tape.last[row] = record


@compiled(inlined=True)
def _slot_of(tape, row, slot):
    """Writes on the tape where the recurrent product of a sequence's present state is held."""
    if tape.last[row] < 0:
        tape.first_slot[row] = slot
    else:
        tape.slot[tape.last[row]] = slot


@compiled(inlined=True)
def _spoil(layout, state, record):
    """NaN in a state, and in its record: the gate that let it in read NaN."""
    nan = state.dtype.type(np.nan)
    state[:] = nan
    for layer in layout.layers:
        record[layer[STATE_AT] : layer[STATE_AT] + layout.leaves * layer[WIDTH]] = nan


@compiled(inlined=True)
def _leave(layout, weights, sequences, results, tape, keep, row, t, state, record, records, logit):
    """What follows an update: the gate's proposal, and the outputs up to the next update, whose step is returned."""
    gate = fired(layout.decision, sequences.draws[row], results.cumulative[row], t)
    results.gates[row, t] = gate
    if layout.decision >= ROUND:
        if gate != gate:
            _spoil(layout, state, records[record])
        fed = state[layout.fed_at : layout.fed_at + weights.gate.size]
        proposed = update_probability(weights.gate, weights.gate_bias, fed, logit)
        results.probability[row] = proposed
        if keep:
            tape.proposed[record] = proposed
    length = sequences.lengths[row]
    following = next_update(
        layout.decision,
        results.probability[row],
        state.dtype.type(0),
        t + 1,
        length,
        sequences.draws[row],
        results.cumulative[row],
    )
    if following == length:
        _repeat_h(layout, state, results, row, t, sequences.inputs.shape[1])
        copy(state, results.state[row])
    else:
        _repeat_h(layout, state, results, row, t, following)
    return following


@compiled()
def _store(sequences, results, first, end):
    """The ũ that is stored after each sequence's last step: 0 after an update."""
    for row in range(first, end):
        last = sequences.lengths[row] - 1
        if last < 0:
            results.stored[row] = sequences.stored[row]
        else:
            results.stored[row] = (1 - results.gates[row, last]) * results.cumulative[row, last]


@compiled()
def _hold_last(layout, forward, sequences, results, tape, old, first, end, slot):
    """Holds the products of the final states that the last steps skipped with."""
    rows = np.int64(0)
    for row in range(first, end):
        length = sequences.lengths[row]
        if length > 0 and results.gates[row, length - 1] == 0:
            copy(results.state[row], old[rows])
            _slot_of(tape, row, slot + rows)
            rows += 1
    for layer in layout.layers:
        width = layer[WIDTH]
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        columns = layout.early * width
        weights_at = layer[STATE_WEIGHTS_AT]
        multiply(old, 0, h_at, False, rows, width, forward, weights_at, columns, tape.held, slot, layer[HELD_AT], False)


@compiled()
def _forward_slab(layout, weights, sequences, results, tape, keep, first, end, room):
    """Runs the sequences `first` to `end`; `room` is to work in, with a row for each of them."""
    layout, weights, sequences = borrowed(layout), borrowed(weights), borrowed(sequences)
    results, tape, room = borrowed(results), borrowed(tape), borrowed(room)
    old, pre, read, reset, live, time, before, unkept, logit = room
    steps, gated = sequences.inputs.shape[1], layout.decision >= ROUND
    records = tape.records if keep else unkept
    at = np.int64(first * steps if keep else 0)
    slot = first * (tape.held.shape[0] // max(np.int64(1), sequences.inputs.shape[0]))
    alive = _begin(layout, sequences, results, tape, keep, first, end, live, time, before, old)

    rounds = np.int64(0)
    while alive > 0:
        if keep:
            tape.round_starts[first, rounds] = at
            rounds += 1
        kept = np.int64(0)
        # Sequences that have an update left move up, into rows that are done with.
        for start in range(0, alive, BLOCK_ROWS):
            rows = min(BLOCK_ROWS, alive - start)
            states = old[start : start + rows]
            for index in range(rows if keep else 0):
                expect(records, at + index, 0, layout.record, True)
            recur(layout, weights.forward, states, pre, rows)
            for index in range(rows):
                row, t = live[start + index], time[start + index]
                if keep:
                    if gated and t > before[start + index] + 1:
                        _hold(layout, pre, index, tape.held, slot)
                        _slot_of(tape, row, slot)
                        slot += 1
                    _note(tape, at + index, row, t)
                take_input(sequences.inputs, row, t, read[index])
            advance(layout, weights, pre, read, reset, states, states, records, at, rows)
            for index in range(rows):
                row, t, state = live[start + index], time[start + index], states[index]
                following = _leave(
                    layout, weights, sequences, results, tape, keep, row, t, state, at + index, records, logit
                )
                if following < sequences.lengths[row]:
                    live[kept], time[kept], before[kept] = row, following, t
                    if kept < start + index:
                        copy(state, old[kept])
                    kept += 1
            at += rows if keep else 0
        alive = kept

    if gated:
        _store(sequences, results, first, end)
    if keep:
        tape.round_starts[first, rounds] = at
        tape.rounds[first] = rounds
        if gated:
            _hold_last(layout, weights.forward, sequences, results, tape, old, first, end, slot)


@compiled(from_python=True)
def run_forward(layout, weights, sequences, results, tape, keep, queue):
    """Runs the slabs of a queue and, where `keep`, writes what the gradient needs on the tape."""
    if keep and tape.records.shape[0] < sequences.inputs.shape[0] * sequences.inputs.shape[1]:
        raise ValueError("the tape is too small for the sequences")
    control = denormals_to_zero()  # type: ignore[var-annotated]
    dtype = sequences.state.dtype
    room = (
        np.empty((queue.rows, layout.state), dtype),
        np.empty((BLOCK_ROWS, layout.changes), dtype),
        np.empty((BLOCK_ROWS, layout.read), dtype),
        np.empty((BLOCK_ROWS, layout.reset), dtype),
        np.empty(queue.rows, np.int64),
        np.empty(queue.rows, np.int64),
        np.empty(queue.rows, np.int64),
        np.empty((np.int64(0) if keep else BLOCK_ROWS, layout.record), dtype),
        np.empty(1, np.float64),
    )
    slab = take(queue.taken)
    while slab * queue.rows < queue.batch:
        first = slab * queue.rows
        end = min(first + queue.rows, queue.batch)
        _forward_slab(layout, weights, sequences, results, tape, keep, first, end, room)
        slab = take(queue.taken)
    denormals_as_before(control)
