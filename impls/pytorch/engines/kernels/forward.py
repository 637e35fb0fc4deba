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
    STATE_WEIGHTS_AT,
    UNITS,
    WIDTH,
)
from impls.pytorch.engines.kernels.products import multiply
from impls.pytorch.engines.kernels.rows import copy, expect
from impls.pytorch.engines.kernels.skip_gate import next_update, update_probability


@compiled()
def _hold(layout, pre, row, held, slot):
    """Keeps a row of early gates, while they are still products of the old state alone."""
    for layer in layout.layers:
        size = layout.early * layer[WIDTH]
        source = pre[row, layer[CHANGE_AT] : layer[CHANGE_AT] + size]
        copy(source, held[slot, layer[HELD_AT] : layer[HELD_AT] + size])


@compiled(from_python=True)
def run_forward(layout, weights, given, results, tape, keep, first, end):
    """Runs the sequences `first` to `end` and, where `keep`, writes what the gradient needs on the tape."""
    control = denormals_to_zero()  # type: ignore[var-annotated]
    layout, weights, given = borrowed(layout), borrowed(weights), borrowed(given)
    results, tape = borrowed(results), borrowed(tape)
    count, steps = end - first, given.inputs.shape[1]
    top = layout.layers[layout.layers.shape[0] - 1]
    units, top_at = top[UNITS], top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    gated, every_step = layout.decision >= ROUND, results.h.shape[1] > 0
    dtype = given.state.dtype
    records = tape.records if keep else np.empty((BLOCK_ROWS, layout.record), dtype)
    at = np.int64(first * steps if keep else 0)
    slot = first * ((steps + 1) // 2 + 1)
    old = np.empty((count, layout.state), dtype)
    pre = np.empty((BLOCK_ROWS, layout.changes), dtype)
    read = np.empty((BLOCK_ROWS, layout.read), dtype)
    reset = np.empty((BLOCK_ROWS, layout.reset), dtype)
    live = np.empty(count, np.int64)  # the sequences that have an update to come
    time = np.empty(count, np.int64)  # its time step
    before = np.empty(count, np.int64)  # that of the update before, or -1

    alive = np.int64(0)
    for row in range(first, end):
        state = given.state[row]
        t = next_update(
            layout.decision,
            given.probability[row],
            given.stored[row],
            np.int64(0),
            steps,
            given.draws[row],
            results.cumulative[row],
        )
        for skipped in range(t if every_step else 0):
            copy(state[top_at : top_at + units], results.h[row, skipped])
        results.probability[row] = given.probability[row]
        if keep:
            tape.last[row] = -1
            tape.first_slot[row] = -1
        if t == steps:
            copy(state, results.state[row])
        else:
            copy(state, old[alive])
            live[alive], time[alive], before[alive] = row, t, -1
            alive += 1

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
                row = live[start + index]
                if keep:
                    record, previous = at + index, tape.last[row]
                    if gated and time[start + index] > before[start + index] + 1:
                        _hold(layout, pre, index, tape.held, slot)
                        if previous < 0:
                            tape.first_slot[row] = slot
                        else:
                            tape.slot[previous] = slot
                        slot += 1
                    tape.row[record] = row
                    tape.time[record] = time[start + index]
                    tape.previous[record] = previous
                    tape.slot[record] = -1
                    tape.last[row] = record
                take_input(given.inputs, row, time[start + index], read[index])
            advance(layout, weights, pre, read, reset, states, states, records, at, rows)

            for index in range(rows):
                row, t = live[start + index], time[start + index]
                state = states[index]
                results.gates[row, t] = 1
                if gated:
                    fed = state[layout.fed_at : layout.fed_at + weights.gate.size]
                    proposed = update_probability(weights.gate, weights.gate_bias, fed)
                    results.probability[row] = proposed
                    if keep:
                        tape.proposed[at + index] = proposed
                following = next_update(
                    layout.decision,
                    results.probability[row],
                    dtype.type(0),
                    t + 1,
                    steps,
                    given.draws[row],
                    results.cumulative[row],
                )
                for step in range(t, following if every_step else t):
                    copy(state[top_at : top_at + units], results.h[row, step])
                if following == steps:
                    copy(state, results.state[row])
                else:
                    live[kept], time[kept], before[kept] = row, following, t
                    if kept < start + index:
                        copy(state, old[kept])
                    kept += 1
            at += rows if keep else 0
        alive = kept

    if keep:
        tape.round_starts[first, rounds] = at
        tape.rounds[first] = rounds
        if gated:
            _hold_last(layout, weights.forward, results, tape, old, first, end, slot)
    denormals_as_before(control)


@compiled()
def _hold_last(layout, forward, results, tape, old, first, end, slot):
    """Holds the products of the final states that the last steps skipped with."""
    rows = np.int64(0)
    for row in range(first, end):
        if results.gates[row, results.gates.shape[1] - 1] == 0:
            copy(results.state[row], old[rows])
            if tape.last[row] < 0:
                tape.first_slot[row] = slot + rows
            else:
                tape.slot[tape.last[row]] = slot + rows
            rows += 1
    for layer in layout.layers:
        width = layer[WIDTH]
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        columns = layout.early * width
        weights_at = layer[STATE_WEIGHTS_AT]
        multiply(old, 0, h_at, False, rows, width, forward, weights_at, columns, tape.held, slot, layer[HELD_AT], False)
