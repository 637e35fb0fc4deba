"""Blocks of rounds and what stands around them, each compiled by XLA: the programs that `loops.py` runs.

XLA's shapes are static, so a block has room for a fixed number of rounds and tells how many it ran.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.states import FlatState
from impls.tensorflow.adjoints import Gradients
from impls.tensorflow.engines.rounds.backward import backward_rounds
from impls.tensorflow.engines.rounds.candidates import recurrent_parts, weights_of
from impls.tensorflow.engines.rounds.forward import forward_rounds
from impls.tensorflow.engines.rounds.jumps import latest_update, next_update
from impls.tensorflow.engines.rounds.positions import (
    Adjoint,
    Cotangents,
    Kept,
    Parameters,
    Position,
    Program,
    Sequences,
    gate_scalars,
    kept_leaves,
)
from impls.tensorflow.engines.rounds.skips import SkipRun, backward_skips, room_for_skips, sums_over_skips
from impls.tensorflow.engines.unrolled import real_steps, static_or_dynamic_size

MOST_BLOCKS = 28  # blocks of rounds that a sequence is cut into: few launches, small buffers
LEAST_ROUNDS = 25


class Placed(NamedTuple):
    """Where the rounds' results belong in time, each `[batch, time]`.

    `rows` is the row of the state after each step among the kept positions, `rounds` the row of its latest round among
    all rounds; `fires` says whether the step is the update, and `gates` are the gates.
    """

    rows: Tensor
    rounds: Tensor
    fires: Tensor
    gates: Tensor


class Blocks(NamedTuple):
    """The pieces of one program; `sums_over_skips` runs first of the backward ones where outputs have gradients."""

    begin: Callable[[Sequences, FlatState], Position]
    forward: Callable[[Parameters, Sequences, Position], tuple[Position, Tensor, Kept]]
    place: Callable[[Tensor, Sequences, Position], Placed]
    backward: Callable[..., tuple[Adjoint, Gradients, Tensor]]
    begin_backward: Callable[..., Adjoint]
    sums_over_skips: Callable[..., Tensor]


def rounds_in_a_block(program: Program, steps: Any) -> Any:
    """How many rounds a block has room for; an int where the number of steps is one."""
    if program.whole:
        return steps
    if isinstance(steps, int):
        return min(steps, max(LEAST_ROUNDS, -(-steps // MOST_BLOCKS)))
    return tf.minimum(steps, tf.maximum(LEAST_ROUNDS, -(-steps // MOST_BLOCKS)))


def leaves_of_a_block(program: Program, sequences: Sequences) -> Kept:
    """`kept_leaves` of a block for these sequences."""
    rounds = _rounds_for(program, sequences)
    return kept_leaves(
        program,
        rounds=rounds if isinstance(rounds, int) else None,
        batch=sequences.inputs.shape[1],
        dtype=sequences.inputs.dtype,
    )


def _rounds_for(program: Program, sequences: Sequences) -> Any:
    return rounds_in_a_block(program, static_or_dynamic_size(sequences.inputs, 0))


@functools.cache
def compiled_blocks(program: Program) -> Blocks:
    """The pieces of one program: each is compiled once a shape, or is a part of what the caller compiles.

    What is compiled is kept on disk by its text, which has to be the same in every process. TensorFlow numbers the
    constants that a loop is given and leaves as they are, in no fixed order: beside its bound there is none.
    """

    def begin(sequences: Sequences, state: FlatState) -> Position:
        prob, stored = gate_scalars(program.spec, state, like=sequences.inputs)
        time, stored = next_update(
            sequences,
            decision=program.decision,
            update_prob=prob,
            cum_update_prob=stored,
            time=tf.fill(tf.shape(prob), -1),
        )
        return Position(time, state.layers, prob, stored)

    def forward(used: Parameters, sequences: Sequences, position: Position) -> tuple[Position, Tensor, Kept]:
        rounds, leaves = _rounds_for(program, sequences), leaves_of_a_block(program, sequences)
        return forward_rounds(program, used, sequences, position, rounds=rounds, leaves=leaves)

    def place(times: Tensor, sequences: Sequences, last: Position) -> Placed:
        return _place(times, sequences, lost=tf.math.is_nan(last.cum_update_prob) if program.spec.skips else None)

    def backward(
        used: Parameters,
        sequences: Sequences,
        kept: Kept,
        count: Tensor,
        cotangents: Cotangents,
        adjoint: Adjoint,
        gradients: Gradients,
    ) -> tuple[Adjoint, Gradients, Tensor]:
        rounds = _rounds_for(program, sequences)
        return backward_rounds(program, used, sequences, kept, count, cotangents, adjoint, gradients, rounds=rounds)

    def begin_backward(
        used: Parameters,
        sequences: Sequences,
        state: FlatState,
        start: Position,
        cotangents: Cotangents,
        adjoint: Adjoint,
    ) -> Adjoint:
        _, stored = gate_scalars(program.spec, state, like=sequences.inputs)
        weights = weights_of(program.spec, used)
        recurrent = recurrent_parts(program.spec, weights, state.layers)
        run = SkipRun(tf.fill(tf.shape(stored), -1), stored, start, lambda _: recurrent)
        room = room_for_skips(sequences)
        adjoint, _ = backward_skips(program, weights, sequences, run, cotangents, adjoint, room)
        return adjoint

    pieces = Blocks(begin, forward, place, backward, begin_backward, sums_over_skips)
    if program.whole:  # the caller compiles them, as parts of one program
        return pieces
    return Blocks(*(tf.function(piece, jit_compile=True, autograph=False) for piece in pieces))


def _place(times: Tensor, sequences: Sequences, *, lost: Tensor | None) -> Placed:
    """Where each step's state stands, from the `times` `[blocks, rounds + 1, batch]` of all kept positions.

    `lost` `[batch]` says whose last round is a gate that read NaN: its gates are NaN from there on.
    """
    steps, dtype = tf.shape(sequences.inputs)[0], sequences.inputs.dtype
    rounds, batch = tf.shape(times)[1] - 1, tf.shape(times)[2]
    counts, fires = latest_update(tf.reshape(times[:, :-1], [-1, batch]), steps=steps)
    latest = counts - 1
    rows = tf.where(latest < 0, 0, latest // rounds * (rounds + 1) + latest % rounds + 1)
    gates = tf.cast(fires, dtype)
    if lost is not None:
        spread = lost[:, tf.newaxis] & (counts == counts[:, -1:])
        if sequences.lengths is not None:
            spread &= real_steps(sequences.lengths, steps=steps)[:, :, 0]
        gates = tf.where(spread, tf.constant(float("nan"), dtype), gates)
    sequence = tf.range(batch)[:, tf.newaxis]
    return Placed(rows * batch + sequence, tf.maximum(latest, 0) * batch + sequence, fires, gates)
