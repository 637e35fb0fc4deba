"""What a run of a cell takes, returns and keeps, as the compiled kernels read and write it."""

from __future__ import annotations

from typing import NamedTuple

from impls.contract import Array


class Sequences(NamedTuple):
    """What a cell runs on.

    Shapes: inputs `[batch, time, features]`; lengths `[batch]`, int64, from 0 to time; draws `[batch, time]`, noise or
    updates, or no columns; state `[batch, state]`, padded; probability, stored `[batch]`.
    """

    inputs: Array
    lengths: Array
    draws: Array
    state: Array
    probability: Array
    stored: Array


class Results(NamedTuple):
    """What a cell returns.

    Shapes: h `[batch, time, units]`, or no steps where only the last is wanted; gates `[batch, time]`; cumulative
    `[batch, time]`, or no columns for plain cells; state, probability and stored as those of `Sequences`.
    """

    h: Array
    gates: Array
    cumulative: Array
    state: Array
    probability: Array
    stored: Array


class Tape(NamedTuple):
    """What the gradient needs of a run, one record an update, in the order of rounds, slab by slab.

    A slab that starts at sequence b has its records from `b * time` on, its held products from `b * held rows a
    sequence` on. `held` keeps the recurrent products of states that are skipped with, whose candidates the gate's
    gradient needs.
    """

    records: Array  # [updates, record]
    held: Array  # [runs of skips, held]
    row: Array  # [updates]: the sequence
    time: Array  # [updates]: the time step
    previous: Array  # [updates]: the record of the update before, or -1
    proposed: Array  # [updates]: Δũ of the candidate
    slot: Array  # [updates]: where the recurrent product is held, or -1
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
    weights: Array  # [slabs, gradient]
    norms: Array  # [slabs, norms]
    gate: Array  # [slabs, units of the gate's layer]
    gate_bias: Array  # [slabs, 1]


def held_rows(steps: int) -> int:
    """The most runs of skips that one sequence can have: before, between and after its updates."""
    return (steps + 1) // 2 + 1
