"""The gradient of `forward.py`, compiled: the rounds of a slab from the last to the first.

`docs/engines.md` derives it.
"""

from __future__ import annotations

import numpy as np

from impls.pytorch.engines.kernels.candidates import BLOCK_ROWS, take_input
from impls.pytorch.engines.kernels.compiled import borrowed, compiled
from impls.pytorch.engines.kernels.denormals import denormals_as_before, denormals_to_zero
from impls.pytorch.engines.kernels.layout import STATE_AT, WIDTH
from impls.pytorch.engines.kernels.queue import take
from impls.pytorch.engines.kernels.rows import copy, expect
from impls.pytorch.engines.kernels.skips import add_flow, pass_run, pass_skips, room_for_skips
from impls.pytorch.engines.kernels.updates import enter_update, pass_inputs, pass_updates
from impls.pytorch.engines.kernels.weight_gradients import CHUNK_ROWS, add_weight_gradients, room_for_chunk


@compiled()
def _begin(layout, sequences, flow, gradients, first, end, until):
    """Starts the carried gradients of a slab at the ends of its sequences, whose steps `until` is filled with."""
    for row in range(first, end):
        copy(flow.state[row], gradients.state[row])
        gradients.probability[row], gradients.stored[row] = flow.probability[row], flow.stored[row]
        until[row - first] = sequences.lengths[row]
        for step in range(sequences.lengths[row], sequences.inputs.shape[1]):
            add_flow(layout, flow, gradients, row, step)


@compiled(inlined=True)
def _expect_next(layout, tape, start, end):
    """Asks the memory for records that are soon read, and for the states in those before them."""
    top = layout.layers[layout.layers.shape[0] - 1]
    first_state, last_state = layout.layers[0][STATE_AT], top[STATE_AT] + layout.leaves * top[WIDTH]
    for record in range(start, end):
        expect(tape.records, record, 0, layout.record, False)
        if tape.previous[record] >= 0:
            expect(tape.records, tape.previous[record], first_state, last_state, False)


@compiled()
def _backward_slab(layout, weights, sequences, results, tape, flow, gradients, slab, first, end, chunk, skipped):
    """The gradient of the sequences `first` to `end`; parameters' gradients go to row `slab`."""
    layout, weights, sequences = borrowed(layout), borrowed(weights), borrowed(sequences)
    results, tape, flow, gradients = borrowed(results), borrowed(tape), borrowed(flow), borrowed(gradients)
    chunk, skipped = borrowed(chunk), borrowed(skipped)
    until = np.empty(end - first, np.int64)  # the first step after the run of skips that comes next, going back
    _begin(layout, sequences, flow, gradients, first, end, until)
    filled = np.int64(0)  # updates in the chunk

    # One round more than updates: the last one is the steps before the first update.
    for number in range(tape.rounds[first], -1, -1):
        starts = number == 0
        at = np.int64(0) if starts else tape.round_starts[first, number - 1]
        alive = end - first if starts else tape.round_starts[first, number] - at
        waiting = np.int64(0)
        for index in range(alive):
            record = np.int64(-1) if starts else at + index
            row = first + index if starts else tape.row[record]
            t = np.int64(-1) if starts else tape.time[record]
            last = until[row - first]
            waiting = pass_run(
                layout, weights, sequences, results, tape, flow, gradients, skipped, waiting, row, record, t, last
            )
            until[row - first] = t
        if waiting > 0:
            pass_skips(layout, weights, sequences, results, tape, flow, gradients, skipped, waiting)
        if starts:
            break

        for start in range(at, at + alive, BLOCK_ROWS):
            rows = min(BLOCK_ROWS, at + alive - start)
            if filled + rows > CHUNK_ROWS:
                add_weight_gradients(layout, chunk, filled, gradients.weights[slab])
                filled = np.int64(0)
            for index in range(rows):
                record, place = start + index, filled + index
                take_input(sequences.inputs, tape.row[record], tape.time[record], chunk.read[place])
                enter_update(
                    layout, weights, sequences, results, tape, flow, gradients, chunk, slab, record, place, index
                )
            _expect_next(layout, tape, start + rows, min(start + rows + BLOCK_ROWS, at + alive))
            pass_updates(layout, weights, tape, start, rows, chunk, filled, gradients.norms[slab])
            for index in range(rows):
                copy(chunk.moving[index], gradients.state[tape.row[start + index]])
            if gradients.inputs.size > 0:
                pass_inputs(layout, weights, tape, start, rows, chunk, filled, gradients.inputs)
            filled += rows
    if filled > 0:
        add_weight_gradients(layout, chunk, filled, gradients.weights[slab])


@compiled(from_python=True)
def run_backward(layout, weights, sequences, results, tape, flow, gradients, queue):
    """The gradient of `run_forward`: the slabs of a queue that was cut in the same way."""
    if gradients.weights.shape[0] * queue.rows < queue.batch or tape.last.shape[0] != queue.batch:
        raise ValueError("the tape and the gradients are not those of this batch")
    control = denormals_to_zero()  # type: ignore[var-annotated]
    dtype = sequences.state.dtype
    chunk, skipped = room_for_chunk(layout, dtype), room_for_skips(layout, dtype)
    slab = take(queue.taken)
    while slab * queue.rows < queue.batch:
        first = slab * queue.rows
        end = min(first + queue.rows, queue.batch)
        _backward_slab(layout, weights, sequences, results, tape, flow, gradients, slab, first, end, chunk, skipped)
        slab = take(queue.taken)
    denormals_as_before(control)
