"""The fast engine's time loops, compiled: a slab of sequences by one worker, forward and backward.

Work goes in rounds: round k holds the k-th update of every sequence that has one, whatever its time step, so the
products are dense however seldom a gate fires. `docs/engines.md` derives the algorithm and its gradient.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from impls.contract import Array
from impls.pytorch.engine.activations import (
    apply_activation,
    apply_derivative,
    apply_sigmoid,
)
from impls.pytorch.engine.compiled import FUSED, SUMMED, borrowed, compiled
from impls.pytorch.engine.layout import (
    ALWAYS,
    CANDIDATE_BACK_AT,
    CHANGE_AT,
    GATES_AT,
    GIVEN,
    HELD_AT,
    INPUT_BACK_AT,
    INPUT_WEIGHTS_AT,
    INPUT_WIDTH,
    INPUTS,
    LSTM,
    NORM_AT,
    OLD_AT,
    PRE_AT,
    READ_AT,
    RESET_AT,
    ROUND,
    STATE_AT,
    STATE_BACK_AT,
    STATE_WEIGHTS_AT,
    UNITS,
    WIDTH,
)
from impls.pytorch.engine.products import multiply, pack
from impls.reference import LAYER_NORM_EPSILON

CHUNK_ROWS = 128  # updates whose weight gradients are gathered before one product
SKIPPED_ROWS = 64  # skipped steps whose candidates are computed together


class Given(NamedTuple):
    """What a cell runs on.

    Shapes: inputs `[batch, time, features]`; draws `[batch, time]`, noise or updates, or no columns; state
    `[batch, state]`, padded; probability, stored `[batch]`.
    """

    inputs: Array
    draws: Array
    state: Array
    probability: Array
    stored: Array


class Results(NamedTuple):
    """What a cell returns.

    Shapes: h `[batch, time, units]`; gates `[batch, time]`; cumulative `[batch, time]`, or no columns for plain
    cells; state and probability as given.
    """

    h: Array
    gates: Array
    cumulative: Array
    state: Array
    probability: Array


class Tape(NamedTuple):
    """What the gradient needs of a run, one record an update, in the order of rounds, slab by slab.

    A slab that starts at sequence b has its records from `b * time` on, its held products from `b * held rows a
    sequence` on. `held` keeps the recurrent products of states that are skipped with, whose candidates the gate's
    gradient needs.
    """

    records: Array  # [updates, record]
    row: Array  # [updates]: the sequence
    time: Array  # [updates]: the time step
    previous: Array  # [updates]: the record of the update before, or -1
    proposed: Array  # [updates]: Δũ of the candidate
    slot: Array  # [updates]: where the recurrent product is held, or -1
    held: Array  # [runs of skips, held]
    first_slot: Array  # [batch]: likewise, of the initial state
    last: Array  # [batch]: the last update's record, or -1
    round_starts: Array  # [batch, time + 1]: of a slab, in the row of its first sequence
    rounds: Array  # [batch]: their number, likewise


class Flow(NamedTuple):
    """Gradients that come in: of h, gates (no columns where there are none), and of the final state."""

    h: Array
    gates: Array
    state: Array
    probability: Array
    stored: Array


class Gradients(NamedTuple):
    """Gradients that go out: of the inputs (none where not wanted), the initial state, and by slab the parameters."""

    inputs: Array
    state: Array
    probability: Array
    stored: Array
    weights: Array  # [slabs, weights]
    norms: Array  # [slabs, norms]
    gate: Array  # [slabs, units of the gate's layer]
    gate_bias: Array  # [slabs, 1]


@compiled(FUSED)
def _copy(source, target):
    for index in range(target.size):
        target[index] = source[index]


@compiled(FUSED)
def _add(source, target):
    for index in range(source.size):
        target[index] += source[index]


@compiled(FUSED)
def _add_scaled(factor, source, target):
    for index in range(source.size):
        target[index] += factor * source[index]


@compiled()
def _next_update(decision, probability, stored, start, steps, draws, cumulative):
    """The next time step at which the gate fires, or `steps`: eq. 5 repeated, rounding for rounding."""
    if decision == ALWAYS:
        return start
    one = cumulative.dtype.type(1)
    half = cumulative.dtype.type(0.5)
    for t in range(start, steps):
        if decision == GIVEN:
            if draws[t] != 0:
                return t
        else:
            remaining = one - stored
            stored = stored + (probability if probability <= remaining else remaining)
            cumulative[t] = stored
            if stored > half if decision == ROUND else draws[t] < stored:
                return t
    return steps


@compiled(SUMMED)
def _propose(weights, bias, fed):
    """Eq. 4: `Δũ = σ(s W + b)`; the sum in float64, since a gate may hang on its last digit."""
    total = np.float64(bias)
    for index in range(weights.size):
        total += np.float64(weights[index]) * np.float64(fed[index])
    return total


@compiled()
def _probability(logit, like):
    one = like.dtype.type(1)
    return one / (one + like.dtype.type(math.exp(-np.float64(like.dtype.type(logit)))))


@compiled(SUMMED)
def _normalise(pre, gain, bias, units, target):
    """Layer norm of one gate; returns the mean and the deviation."""
    mean = pre.dtype.type(0)
    for index in range(units):
        mean += pre[index]
    mean /= pre.dtype.type(units)
    variance = pre.dtype.type(0)
    for index in range(units):
        variance += (pre[index] - mean) * (pre[index] - mean)
    deviation = np.sqrt(variance / pre.dtype.type(units))
    scale = pre.dtype.type(1) / (deviation + pre.dtype.type(LAYER_NORM_EPSILON))
    for index in range(target.size):
        target[index] = gain[index] * (pre[index] - mean) * scale + bias[index]
    return mean, deviation


@compiled(SUMMED)
def _normalise_back(pre, gain, units, change, gain_change, bias_change):
    """The gradient of `_normalise`: replaces `change`, of the result, by that of `pre`."""
    one, count = pre.dtype.type(1), pre.dtype.type(units)
    mean = pre.dtype.type(0)
    for index in range(units):
        mean += pre[index]
    mean /= count
    variance = pre.dtype.type(0)
    for index in range(units):
        variance += (pre[index] - mean) * (pre[index] - mean)
    deviation = np.sqrt(variance / count)
    scale = one / (deviation + pre.dtype.type(LAYER_NORM_EPSILON))
    along = pre.dtype.type(0)
    for index in range(units):
        gain_change[index] += change[index] * (pre[index] - mean) * scale
        bias_change[index] += change[index]
        along += change[index] * gain[index] * (pre[index] - mean)
    # A layer of one unit has no deviation, and its gradient is 0.
    slope = along * scale * scale / (count * deviation) if deviation > 0 else pre.dtype.type(0)
    average = pre.dtype.type(0)
    for index in range(units):
        change[index] = change[index] * gain[index] * scale - slope * (pre[index] - mean)
        average += change[index]
    average /= count
    for index in range(units):
        change[index] -= average


@compiled()
def _recur(layout, forward, old, records, at, rows):
    """The products of old states, into the early gates of records `at` and following."""
    for layer in layout.layers:
        width = layer[WIDTH]
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        columns = layout.early * width
        weights_at = layer[STATE_WEIGHTS_AT]
        multiply(old, 0, h_at, False, rows, width, forward, weights_at, columns, records, at, layer[GATES_AT], False)


@compiled(FUSED)
def _lstm_candidate(activation, forget, gates, old_c, c, h):
    width = c.size
    zero = forget.dtype.type(0)
    i, j = gates[0:width], gates[width : 2 * width]
    f, o = gates[2 * width : 3 * width], gates[3 * width : 4 * width]
    apply_sigmoid(i, zero)
    apply_activation(activation, j)
    apply_sigmoid(f, forget[0])
    apply_sigmoid(o, zero)
    for index in range(width):
        c[index] = old_c[index] * f[index] + i[index] * j[index]
        h[index] = c[index]
    apply_activation(activation, h)
    for index in range(width):
        h[index] *= o[index]


@compiled(FUSED)
def _gru_candidate(activation, gates, old_h, h):
    width = h.size
    one = h.dtype.type(1)
    z, a = gates[width : 2 * width], gates[2 * width : 3 * width]
    apply_activation(activation, a)
    for index in range(width):
        h[index] = z[index] * old_h[index] + (one - z[index]) * a[index]


@compiled(FUSED)
def _reset(gates, old_h, reset):
    for index in range(reset.size):
        reset[index] = gates[index] * old_h[index]


@compiled()
def _advance(layout, weights, read, reset, old, records, at, rows):
    """Candidates of `rows` records, whose early gates hold the products of the old states.

    Args:
        layout, weights: the cell.
        read: `[rows, read]`; the bottom layer's columns are filled.
        reset: `[rows, reset]`, to work in.
        old: `[rows, state]`, the states before.
        records, at, rows: which records to fill.
    """
    forward, norms = weights.forward, weights.norms
    zero = forward.dtype.type(0)
    for number in range(layout.layers.shape[0]):
        layer = layout.layers[number]
        width, inputs, gates_at, state_at = layer[WIDTH], layer[INPUTS], layer[GATES_AT], layer[STATE_AT]
        read_at, old_at, reset_at = layer[READ_AT], layer[OLD_AT], layer[RESET_AT]
        if number > 0:
            lower = layout.layers[number - 1]
            below_at = lower[STATE_AT] + (layout.leaves - 1) * lower[WIDTH]
            for row in range(rows):
                _copy(records[at + row, below_at : below_at + inputs], read[row, read_at : read_at + inputs])
                read[row, read_at + inputs] = 1
        early = layout.early * width
        first = layer[INPUT_WEIGHTS_AT]
        multiply(read, 0, read_at, False, rows, inputs + 1, forward, first, early, records, at, gates_at, True)
        if layout.norm:
            for row in range(rows):
                for gate in range(layout.early):
                    place = gates_at + gate * width
                    kept = layer[PRE_AT] + gate * width
                    gain = layer[NORM_AT] + gate * width
                    bias = gain + early
                    pre = records[at + row, kept : kept + width]
                    target = records[at + row, place : place + width]
                    _copy(target, pre)
                    _normalise(pre, norms[gain : gain + width], norms[bias : bias + width], layer[UNITS], target)
        if layout.kind == LSTM:
            for row in range(rows):
                _lstm_candidate(
                    layout.activation,
                    weights.forget,
                    records[at + row, gates_at : gates_at + 4 * width],
                    old[row, old_at : old_at + width],
                    records[at + row, state_at : state_at + width],
                    records[at + row, state_at + width : state_at + 2 * width],
                )
        else:
            candidate_at = gates_at + early
            first += early * (inputs + 1)
            multiply(read, 0, read_at, False, rows, inputs + 1, forward, first, width, records, at, candidate_at, False)
            for row in range(rows):
                apply_sigmoid(records[at + row, gates_at:candidate_at], zero)
                _reset(
                    records[at + row, gates_at : gates_at + width],
                    old[row, old_at : old_at + width],
                    reset[row, reset_at : reset_at + width],
                )
            first = layer[STATE_WEIGHTS_AT] + early * width
            multiply(reset, 0, reset_at, False, rows, width, forward, first, width, records, at, candidate_at, True)
            for row in range(rows):
                _gru_candidate(
                    layout.activation,
                    records[at + row, gates_at : gates_at + 3 * width],
                    old[row, old_at : old_at + width],
                    records[at + row, state_at : state_at + width],
                )


@compiled()
def _take_state(layout, records, at, target):
    """Copies the candidate state of a record."""
    for layer in layout.layers:
        size = layout.leaves * layer[WIDTH]
        _copy(records[at, layer[STATE_AT] : layer[STATE_AT] + size], target[layer[OLD_AT] : layer[OLD_AT] + size])


@compiled()
def _take_input(inputs, row, time, read):
    features = inputs.shape[2]
    _copy(inputs[row, time], read[:features])
    read[features] = 1


@compiled()
def _hold(layout, records, at, held, slot):
    """Keeps the early gates of a record, while they are still products of the old state alone."""
    for layer in layout.layers:
        size = layout.early * layer[WIDTH]
        source = records[at, layer[GATES_AT] : layer[GATES_AT] + size]
        _copy(source, held[slot, layer[HELD_AT] : layer[HELD_AT] + size])


@compiled(from_python=True)
def run_forward(layout, weights, given, results, tape, keep, first, end):
    """Runs the sequences `first` to `end` and, where `keep`, writes what the gradient needs on the tape."""
    layout, weights, given = borrowed(layout), borrowed(weights), borrowed(given)
    results, tape = borrowed(results), borrowed(tape)
    count, steps = end - first, given.inputs.shape[1]
    top = layout.layers[layout.layers.shape[0] - 1]
    units, top_at = top[UNITS], top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    gated = layout.decision >= ROUND
    dtype = given.state.dtype
    records = tape.records if keep else np.empty((count, layout.record), dtype)
    at = np.int64(first * steps if keep else 0)
    slot = first * ((steps + 1) // 2 + 1)
    old = np.empty((count, layout.state), dtype)
    read = np.empty((count, layout.read), dtype)
    reset = np.empty((count, layout.reset), dtype)
    live = np.empty(count, np.int64)  # the sequences that have an update to come
    time = np.empty(count, np.int64)  # its time step
    before = np.empty(count, np.int64)  # that of the update before, or -1

    alive = np.int64(0)
    for row in range(first, end):
        state = given.state[row]
        t = _next_update(
            layout.decision,
            given.probability[row],
            given.stored[row],
            np.int64(0),
            steps,
            given.draws[row],
            results.cumulative[row],
        )
        for skipped in range(t):
            _copy(state[top_at : top_at + units], results.h[row, skipped])
        results.probability[row] = given.probability[row]
        if keep:
            tape.last[row] = -1
            tape.first_slot[row] = -1
        if t == steps:
            _copy(state, results.state[row])
        else:
            _copy(state, old[alive])
            live[alive], time[alive], before[alive] = row, t, -1
            alive += 1

    rounds = np.int64(0)
    while alive > 0:
        _recur(layout, weights.forward, old, records, at, alive)
        for index in range(alive):
            row = live[index]
            if keep:
                record, previous = at + index, tape.last[row]
                if gated and time[index] > before[index] + 1:
                    _hold(layout, records, record, tape.held, slot)
                    if previous < 0:
                        tape.first_slot[row] = slot
                    else:
                        tape.slot[previous] = slot
                    slot += 1
                tape.row[record] = row
                tape.time[record] = time[index]
                tape.previous[record] = previous
                tape.slot[record] = -1
                tape.last[row] = record
            _take_input(given.inputs, row, time[index], read[index])
        _advance(layout, weights, read, reset, old, records, at, alive)
        if keep:
            tape.round_starts[first, rounds] = at
            rounds += 1

        kept = np.int64(0)
        for index in range(alive):
            row, t = live[index], time[index]
            state = old[kept]
            _take_state(layout, records, at + index, state)
            results.gates[row, t] = 1
            if gated:
                fed = state[layout.fed_at : layout.fed_at + weights.gate.size]
                proposed = _probability(_propose(weights.gate, weights.gate_bias[0], fed), weights.gate)
                results.probability[row] = proposed
                if keep:
                    tape.proposed[at + index] = proposed
            following = _next_update(
                layout.decision,
                results.probability[row],
                dtype.type(0),
                t + 1,
                steps,
                given.draws[row],
                results.cumulative[row],
            )
            for step in range(t, following):
                _copy(state[top_at : top_at + units], results.h[row, step])
            if following == steps:
                _copy(state, results.state[row])
            else:
                live[kept], time[kept], before[kept] = row, following, t
                kept += 1
        at += alive if keep else 0
        alive = kept

    if keep:
        tape.round_starts[first, rounds] = at
        tape.rounds[first] = rounds
        if gated:
            _hold_last(layout, weights.forward, results, tape, old, first, end, slot)


@compiled()
def _hold_last(layout, forward, results, tape, old, first, end, slot):
    """Holds the products of the final states that the last steps skipped with."""
    rows = np.int64(0)
    for row in range(first, end):
        if results.gates[row, results.gates.shape[1] - 1] == 0:
            _copy(results.state[row], old[rows])
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


@compiled(SUMMED)
def _along(flow, new, old):
    """`⟨flow, new − old⟩`: what a gate's gradient gets from the state."""
    total = flow.dtype.type(0)
    for index in range(flow.size):
        total += flow[index] * (new[index] - old[index])
    return total


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
        scratch: records, old states, candidates, read, reset: `[steps, …]`, to work in.
    """
    records, old, new, read, reset = scratch
    top = layout.layers[layout.layers.shape[0] - 1]
    top_at = top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    units = top[UNITS]
    one = state.dtype.type(1)
    for index in range(rows):
        row, t, last = skips[index]
        slot = tape.first_slot[row] if last < 0 else tape.slot[last]
        if last < 0:
            _copy(given.state[row], old[index])
        else:
            _take_state(layout, tape.records, last, old[index])
        for layer in layout.layers:
            size = layout.early * layer[WIDTH]
            held = tape.held[slot, layer[HELD_AT] : layer[HELD_AT] + size]
            _copy(held, records[index, layer[GATES_AT] : layer[GATES_AT] + size])
        _take_input(given.inputs, row, t, read[index])
    _advance(layout, weights, read, reset, old, records, np.int64(0), rows)
    for index in range(rows):
        row, t, last = skips[index]
        if flow.h.size > 0:
            _add(flow.h[row, t], state[row, top_at : top_at + units])
        _take_state(layout, records, index, new[index])
        fed = new[index, layout.fed_at : layout.fed_at + weights.gate.size]
        proposed = _probability(_propose(weights.gate, weights.gate_bias[0], fed), weights.gate)
        carried = given.probability[row] if last < 0 else tape.proposed[last]
        change = _along(state[row], new[index], old[index])
        change += probability[row] * (proposed - carried) - stored[row] * results.cumulative[row, t]
        change += stored[row]
        if flow.gates.size > 0:
            change += flow.gates[row, t]
        if carried <= one - _before(given, results, row, t):
            probability[row] += change
            stored[row] = change
        else:
            stored[row] = 0


@compiled(FUSED)
def _lstm_back(activation, gates, c, old_c, flow_c, flow_h, change, tanh_c):
    """From gradients of the candidate to those of the pre-activations and, in `flow_c`, of the old c."""
    width = c.size
    one = c.dtype.type(1)
    i, j = gates[0:width], gates[width : 2 * width]
    f, o = gates[2 * width : 3 * width], gates[3 * width : 4 * width]
    di, dj = change[0:width], change[width : 2 * width]
    df, do = change[2 * width : 3 * width], change[3 * width : 4 * width]
    _copy(c, tanh_c)
    apply_activation(activation, tanh_c)
    for index in range(width):
        do[index] = flow_h[index] * tanh_c[index] * o[index] * (one - o[index])
        flow_h[index] *= o[index]
    apply_derivative(activation, tanh_c, flow_h)
    for index in range(width):
        dc = flow_c[index] + flow_h[index]
        di[index] = dc * j[index] * i[index] * (one - i[index])
        dj[index] = dc * i[index]
        df[index] = dc * old_c[index] * f[index] * (one - f[index])
        flow_c[index] = dc * f[index]
    apply_derivative(activation, j, dj)


@compiled(FUSED)
def _gru_back(activation, gates, old_h, flow_h, change):
    """From the gradient of the candidate state to those of z's and the candidate's pre-activations."""
    width = old_h.size
    one = old_h.dtype.type(1)
    z, a = gates[width : 2 * width], gates[2 * width : 3 * width]
    dz, da = change[width : 2 * width], change[2 * width : 3 * width]
    for index in range(width):
        dz[index] = flow_h[index] * (old_h[index] - a[index]) * z[index] * (one - z[index])
        da[index] = flow_h[index] * (one - z[index])
        flow_h[index] *= z[index]
    apply_derivative(activation, a, da)


@compiled(FUSED)
def _reset_back(gates, old_h, reset_change, flow_h, change):
    """From the gradient of `r h` to that of r's pre-activation, and on to the old h."""
    one = old_h.dtype.type(1)
    for index in range(old_h.size):
        r = gates[index]
        change[index] = reset_change[index] * old_h[index] * r * (one - r)
        flow_h[index] += reset_change[index] * r


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
    back = weights.back
    for number in range(layout.layers.shape[0] - 1, -1, -1):
        layer = layout.layers[number]
        width, gates_at, state_at = layer[WIDTH], layer[GATES_AT], layer[STATE_AT]
        old_at, change_at, reset_at = layer[OLD_AT], layer[CHANGE_AT], layer[RESET_AT]
        h_at = old_at + (layout.leaves - 1) * width
        early = layout.early * width
        if layout.kind == LSTM:
            for row in range(rows):
                _lstm_back(
                    layout.activation,
                    tape.records[at + row, gates_at : gates_at + 4 * width],
                    tape.records[at + row, state_at : state_at + width],
                    old[chunk_at + row, old_at : old_at + width],
                    flow[row, old_at : old_at + width],
                    flow[row, h_at : h_at + width],
                    changes[chunk_at + row, change_at : change_at + 4 * width],
                    work[row, 0:width],
                )
        else:
            for row in range(rows):
                _gru_back(
                    layout.activation,
                    tape.records[at + row, gates_at : gates_at + 3 * width],
                    old[chunk_at + row, old_at : old_at + width],
                    flow[row, h_at : h_at + width],
                    changes[chunk_at + row, change_at : change_at + 3 * width],
                )
            candidate = layer[CANDIDATE_BACK_AT]
            late_at = change_at + early
            multiply(changes, chunk_at, late_at, False, rows, width, back, candidate, width, work, 0, 0, False)
            for row in range(rows):
                gates = tape.records[at + row, gates_at : gates_at + width]
                old_h = old[chunk_at + row, old_at : old_at + width]
                _reset(gates, old_h, reset[chunk_at + row, reset_at : reset_at + width])
                _reset_back(
                    gates,
                    old_h,
                    work[row, 0:width],
                    flow[row, h_at : h_at + width],
                    changes[chunk_at + row, change_at : change_at + width],
                )
        if layout.norm:
            for row in range(rows):
                for gate in range(layout.early):
                    kept, gain = layer[PRE_AT] + gate * width, layer[NORM_AT] + gate * width
                    place = change_at + gate * width
                    _normalise_back(
                        tape.records[at + row, kept : kept + width],
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
                _copy(
                    tape.records[at + row, inputs_at : inputs_at + lower[WIDTH]],
                    read[chunk_at + row, place : place + lower[WIDTH]],
                )
                read[chunk_at + row, place + lower[WIDTH]] = 1
            multiply(
                changes, chunk_at, change_at, False, rows, columns, back, first, lower[WIDTH], flow, 0, below_at, True
            )


@compiled()
def _gather_weights(layout, old, read, reset, changes, rows, packed, weights):
    """Adds the weight gradients of `rows` gathered updates to the flat `weights`."""
    for layer in layout.layers:
        width, inputs = layer[WIDTH], layer[INPUTS]
        columns, early = layout.gates * width, layout.early * width
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        pack(changes, 0, layer[CHANGE_AT], rows, columns, packed, 0)
        first, second = layer[INPUT_WEIGHTS_AT], layer[STATE_WEIGHTS_AT]
        reading = weights[first:second].reshape((inputs + 1, columns))
        square = weights[second : second + width * columns].reshape((width, columns))
        multiply(read, 0, layer[READ_AT], True, inputs + 1, rows, packed, 0, columns, reading, 0, 0, True)
        multiply(old, 0, h_at, True, width, rows, packed, 0, early, square, 0, 0, True)
        if layout.kind != LSTM:
            late = early * rows
            multiply(reset, 0, layer[RESET_AT], True, width, rows, packed, late, width, square, 0, early, True)


@compiled(from_python=True)
def run_backward(layout, weights, given, results, tape, flow, gradients, slab, first, end):
    """The gradient of `run_forward` for the same sequences; parameters' gradients go to row `slab`."""
    layout, weights, given = borrowed(layout), borrowed(weights), borrowed(given)
    results, tape, flow, gradients = borrowed(results), borrowed(tape), borrowed(flow), borrowed(gradients)
    count, steps = end - first, given.inputs.shape[1]
    features = given.inputs.shape[2]
    top = layout.layers[layout.layers.shape[0] - 1]
    units, top_at = top[UNITS], top[OLD_AT] + (layout.leaves - 1) * top[WIDTH]
    gated = layout.decision >= ROUND
    dtype = given.state.dtype
    one = dtype.type(1)
    widest = np.int64(0)
    for layer in layout.layers:
        widest = max(widest, layer[WIDTH], layer[INPUT_WIDTH])
    capacity = max(CHUNK_ROWS, count)
    old = np.empty((capacity, layout.state), dtype)
    read = np.empty((capacity, layout.read), dtype)
    reset = np.empty((capacity, layout.reset), dtype)
    changes = np.empty((capacity, layout.changes), dtype)
    packed = np.empty(capacity * layout.gates * widest, dtype)
    work = np.empty((count, widest), dtype)
    moving = np.empty((count, layout.state), dtype)
    skips = np.empty((SKIPPED_ROWS, 3), np.int64)
    rows = SKIPPED_ROWS if gated else 0
    scratch = (
        np.empty((rows, layout.record), dtype),
        np.empty((rows, layout.state), dtype),
        np.empty((rows, layout.state), dtype),
        np.empty((rows, layout.read), dtype),
        np.empty((rows, layout.reset), dtype),
    )
    state, probability, stored = gradients.state, gradients.probability, gradients.stored
    for row in range(first, end):
        _copy(flow.state[row], state[row])
        probability[row], stored[row] = flow.probability[row], flow.stored[row]
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
                    if pending == SKIPPED_ROWS:
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
                    _add(flow.h[row, step], state[row, top_at : top_at + units])
            until[row - first] = t
        if pending > 0:
            _skip_back(layout, weights, given, results, tape, flow, state, probability, stored, skips, pending, scratch)
        if starts:
            break

        if filled + alive > capacity:
            _gather_weights(layout, old, read, reset, changes, filled, packed, gradients.weights[slab])
            filled = np.int64(0)
        for index in range(alive):
            record = at + index
            row, t, previous = tape.row[record], tape.time[record], tape.previous[record]
            _take_input(given.inputs, row, t, read[filled + index])
            before = old[filled + index]
            if previous < 0:
                _copy(given.state[row], before)
            else:
                _take_state(layout, tape.records, previous, before)
            moved = moving[index]
            _copy(state[row], moved)
            if flow.h.size > 0:
                _add(flow.h[row, t], moved[top_at : top_at + units])
            if gated:
                new = state[row]  # no longer needed there
                _take_state(layout, tape.records, record, new)
                proposed = tape.proposed[record]
                carried = given.probability[row] if previous < 0 else tape.proposed[previous]
                change = _along(moved, new, before)
                change += probability[row] * (proposed - carried) - stored[row] * results.cumulative[row, t]
                if flow.gates.size > 0:
                    change += flow.gates[row, t]
                logit = probability[row] * proposed * (one - proposed)
                if logit != 0:
                    fed_at = layout.fed_at
                    _add_scaled(logit, new[fed_at : fed_at + weights.gate.size], gradients.gate[slab])
                    _add_scaled(logit, weights.gate, moved[fed_at : fed_at + weights.gate.size])
                    gradients.gate_bias[slab, 0] += logit
                if carried > one - _before(given, results, row, t):
                    change = dtype.type(0)
                probability[row] = change
                stored[row] = change
        _update_back(
            layout, weights, tape, at, alive, moving, old, read, reset, changes, filled, work, gradients.norms[slab]
        )
        for index in range(alive):
            _copy(moving[index], state[tape.row[at + index]])
        if gradients.inputs.size > 0:
            layer = layout.layers[0]
            columns, back_at = layout.gates * layer[WIDTH], layer[INPUT_BACK_AT]
            across = layer[INPUT_WIDTH]
            multiply(
                changes,
                filled,
                layer[CHANGE_AT],
                False,
                alive,
                columns,
                weights.back,
                back_at,
                across,
                work,
                0,
                0,
                False,
            )
            for index in range(alive):
                record = at + index
                _copy(work[index, 0:features], gradients.inputs[tape.row[record], tape.time[record]])
        filled += alive
    if filled > 0:
        _gather_weights(layout, old, read, reset, changes, filled, packed, gradients.weights[slab])
