"""Rounds forward: the k-th updates of all sequences are one dense batch, whatever the time steps at which they fall."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow.engines.rounds.candidates import (
    Weights,
    candidates_of,
    keeps_gates,
    propose,
    recurrent_parts,
    weights_of,
)
from impls.tensorflow.engines.rounds.jumps import next_update, unreadable
from impls.tensorflow.engines.rounds.positions import (
    Kept,
    Layers,
    Parameters,
    Position,
    Program,
    Sequences,
    at_times,
    select,
)


def forward_rounds(
    program: Program,
    parameters: Parameters,
    sequences: Sequences,
    start: Position,
    *,
    rounds: int | Tensor,
    leaves: Kept,
) -> tuple[Position, Tensor, Kept]:
    """Runs up to `rounds` rounds; `leaves` is what `kept_leaves` says of them.

    Returns where the sequences stand then, how many rounds were run, and what is kept.
    """
    spec = program.spec
    steps = tf.shape(sequences.inputs)[0]
    weights = weights_of(spec, parameters)

    def chosen(position: Position) -> list[Tensor]:
        if program.keep:
            flat: list[Tensor] = tf.nest.flatten(position)
            return flat
        return [position.time, *((position.layers[-1][-1],) if program.every_step else ())]

    def body(k: Tensor, position: Position, rows: list[tf.TensorArray], records: list[tf.TensorArray]) -> Any:
        below = at_times(sequences.inputs, tf.minimum(position.time, steps - 1))
        lost = _lost(spec, position)
        if lost is not None:
            below += tf.cast(lost, below.dtype)[:, tf.newaxis]
        recurrent = recurrent_parts(spec, weights, position.layers)
        candidates, recorded = candidates_of(spec, weights, below, position.layers, recurrent)
        if program.keep:
            records = _write(records, k, recorded)
        position = _after_update(program, weights, sequences, position, candidates, lost)
        return k + 1, position, _write(rows, k + 1, chosen(position)), records

    rows = [
        tf.TensorArray(leaf.dtype, size=rounds + 1, element_shape=leaf.shape).write(0, leaf) for leaf in chosen(start)
    ]
    records = [
        tf.TensorArray(leaf.dtype, size=rounds + 1, element_shape=leaf.shape[1:])
        for leaf in tf.nest.flatten(leaves.records)
    ]
    k, position, rows, records = tf.while_loop(
        lambda k, position, *_: (k < rounds) & tf.reduce_any(position.time < steps),
        body,
        (tf.constant(0), start, rows, records),
    )
    if program.keep and not keeps_gates(spec):
        after = recurrent_parts(spec, weights, position.layers)
        rest = len(spec.kind.gates) - len(spec.kind.normalised)
        records = _write(records, k, [(*parts, *[tf.zeros_like(parts[0])] * rest) for parts in after])
    stacked = [row.stack() for row in rows]
    # Rounds that were not run have no update: their time is the end.
    stacked[0] = tf.where(tf.range(rounds + 1)[:, tf.newaxis] <= k, stacked[0], steps)
    kept: Kept = tf.nest.pack_sequence_as(leaves, [*stacked, *(array.stack() for array in records)])
    return position, k, kept


def _after_update(
    program: Program,
    weights: Weights,
    sequences: Sequences,
    position: Position,
    candidates: Layers,
    lost: Tensor | None,
) -> Position:
    """Where each sequence stands after the update that it has at `position`, if it has one."""
    spec = program.spec
    updates = position.time < tf.shape(sequences.inputs)[0]
    update_prob, stored = position.update_prob, position.cum_update_prob
    if lost is not None:
        update_prob = tf.where(updates, propose(spec, weights, candidates), update_prob)
        stored = tf.where(updates, lost, stored)
    layers = select(updates, candidates, position.layers)
    time, stored = next_update(
        sequences,
        decision=program.decision,
        update_prob=update_prob,
        cum_update_prob=stored,
        time=position.time,
    )
    return Position(time, layers, update_prob, stored)


def _lost(spec: CellSpec, position: Position) -> Tensor | None:
    """NaN where a gate reads NaN, else 0, `[batch]`; added to the inputs it is in all that the round makes of them."""
    if not spec.skips:
        return None
    stored = position.cum_update_prob
    nothing = unreadable(update_prob=position.update_prob, cum_update_prob=stored)
    return tf.where(nothing, tf.constant(float("nan"), stored.dtype), tf.zeros_like(stored))


def _write(arrays: list[tf.TensorArray], index: Tensor, values: Any) -> list[tf.TensorArray]:
    """Each of the arrays with one of the values' leaves written at `index`."""
    return [array.write(index, leaf) for array, leaf in zip(arrays, tf.nest.flatten(values), strict=True)]
