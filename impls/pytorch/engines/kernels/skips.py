"""What a run of skips does to the gradient: a scalar recursion, fed by the candidates that were not used."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from impls.contract import Array
from impls.pytorch.engines.kernels.candidates import BLOCK_ROWS, advance, take_input, take_state
from impls.pytorch.engines.kernels.compiled import compiled
from impls.pytorch.engines.kernels.layout import CHANGE_AT, HELD_AT, OLD_AT, ROUND, UNITS, WIDTH
from impls.pytorch.engines.kernels.passes import add_along
from impls.pytorch.engines.kernels.rows import add, copy
from impls.pytorch.engines.kernels.skip_gate import update_probability


class Skipped(NamedTuple):
    """Skipped steps whose candidates are made together, and room to make them in; `[steps, …]` each."""

    row: Array  # the sequence
    time: Array  # the time step
    record: Array  # that of the last update, or -1
    pre: Array  # pre-activations
    records: Array
    old: Array  # states before
    new: Array  # candidate states
    read: Array
    reset: Array
    along: Array  # [1]
    logit: Array  # [1], float64


@compiled()
def room_for_skips(layout, dtype):
    """Room for as many skipped steps as are done together; none where no gate decides."""
    rows = BLOCK_ROWS if layout.decision >= ROUND else 0
    return Skipped(
        np.empty(rows, np.int64),
        np.empty(rows, np.int64),
        np.empty(rows, np.int64),
        np.empty((rows, layout.changes), dtype),
        np.empty((rows, layout.record), dtype),
        np.empty((rows, layout.state), dtype),
        np.empty((rows, layout.state), dtype),
        np.empty((rows, layout.read), dtype),
        np.empty((rows, layout.reset), dtype),
        np.empty(1, dtype),
        np.empty(1, np.float64),
    )


@compiled(inlined=True)
def add_flow(layout, flow, gradients, row, t):
    """Adds the gradient of h at a step, if there is one, to that of the state."""
    if flow.h.size > 0:
        top = layout.layers[layout.layers.shape[0] - 1]
        top_at = top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
        add(flow.h[row, t], gradients.state[row, top_at : top_at + top[UNITS]])


@compiled(inlined=True)
def carried_probability(sequences, tape, row, record):
    """Δũ as the steps after an update read it; `record` is -1 before the first one."""
    return sequences.probability[row] if record < 0 else tape.proposed[record]


@compiled(inlined=True)
def follows_probability(sequences, results, carried, row, t):
    """Whether ũ followed Δũ at a step: the bound of eq. 5 was not passed."""
    stored = sequences.stored.dtype.type(0)
    if t == 0:
        stored = sequences.stored[row]
    elif results.gates[row, t - 1] == 0:
        stored = results.cumulative[row, t - 1]
    return not carried > sequences.stored.dtype.type(1) - stored


@compiled()
def _make_candidates(layout, weights, sequences, tape, skipped, rows):
    """The candidates of skipped steps; of the state's own products none is made again."""
    for index in range(rows):
        row, t, record = skipped.row[index], skipped.time[index], skipped.record[index]
        if record < 0:
            slot = tape.first_slot[row]
            copy(sequences.state[row], skipped.old[index])
        else:
            slot = tape.slot[record]
            take_state(layout, tape.records, record, skipped.old[index])
        for layer in layout.layers:
            size = layout.early * layer[WIDTH]
            held = tape.held[slot, layer[HELD_AT] : layer[HELD_AT] + size]
            copy(held, skipped.pre[index, layer[CHANGE_AT] : layer[CHANGE_AT] + size])
        take_input(sequences.inputs, row, t, skipped.read[index])
    start = np.int64(0)
    old, new = skipped.old, skipped.new
    advance(layout, weights, skipped.pre, skipped.read, skipped.reset, old, new, skipped.records, start, rows)


@compiled(inlined=True)
def _pass_skip(layout, weights, sequences, results, tape, flow, gradients, skipped, index):
    """The gradient through one skipped step, from after it to before it."""
    row, t, record = skipped.row[index], skipped.time[index], skipped.record[index]
    add_flow(layout, flow, gradients, row, t)
    fed = skipped.new[index, layout.fed_at : layout.fed_at + weights.gate.size]
    proposed = update_probability(weights.gate, weights.gate_bias, fed, skipped.logit)
    carried = carried_probability(sequences, tape, row, record)
    probability, stored = gradients.probability[row], gradients.stored[row]
    along = skipped.along
    along[0] = 0
    add_along(0, (gradients.state[row], skipped.new[index], skipped.old[index], along))
    change = along[0]
    change += probability * (proposed - carried) - stored * results.cumulative[row, t]
    change += stored
    if flow.gates.size > 0:
        change += flow.gates[row, t]
    if follows_probability(sequences, results, carried, row, t):
        gradients.probability[row] = probability + change
        gradients.stored[row] = change
    else:
        gradients.stored[row] = 0


@compiled()
def pass_skips(layout, weights, sequences, results, tape, flow, gradients, skipped, rows):
    """The gradient through the first `rows` of the skipped steps.

    Args:
        layout, weights, sequences, results, tape, flow: of the run.
        gradients: those of the carried state are changed in place.
        skipped: a sequence's steps stand from the last to the first.
        rows: how many of them.
    """
    _make_candidates(layout, weights, sequences, tape, skipped, rows)
    for index in range(rows):
        _pass_skip(layout, weights, sequences, results, tape, flow, gradients, skipped, index)


@compiled(inlined=True)
def pass_run(layout, weights, sequences, results, tape, flow, gradients, skipped, waiting, row, record, t, until):
    """The gradient through a sequence's steps from `until - 1` back to `t + 1`, which were skipped.

    Where a gate decides, steps wait in `skipped` until there are enough to be done together. Returns how many wait.
    """
    for step in range(until - 1, t, -1):
        if layout.decision < ROUND:
            add_flow(layout, flow, gradients, row, step)
            continue
        skipped.row[waiting], skipped.time[waiting], skipped.record[waiting] = row, step, record
        waiting += 1
        if waiting == BLOCK_ROWS:
            pass_skips(layout, weights, sequences, results, tape, flow, gradients, skipped, waiting)
            waiting = np.int64(0)
    return waiting
