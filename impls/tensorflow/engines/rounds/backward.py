"""Rounds backward, from the last to the first: the skips that follow an update, then the update itself."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow.adjoints import Gradients, Parts, backward, inputs_gradient, weight_gradients
from impls.tensorflow.engines.rounds.candidates import Weights, recall, weights_of
from impls.tensorflow.engines.rounds.positions import (
    Adjoint,
    Cotangents,
    Kept,
    Layers,
    Parameters,
    Position,
    Program,
    Sequences,
    at_times,
    select,
)
from impls.tensorflow.engines.rounds.skips import Room, SkipRun, backward_skips, inner, room_for_skips, with_outputs
from impls.tensorflow.equations import LayerState


class Turn(NamedTuple):
    """What one round's adjoint reads: positions before and after it, records, inputs, and the gates' cotangents."""

    before: Position
    after: Position
    updates: Tensor
    records: tuple[Parts, ...]
    inputs: Tensor
    gates: Tensor


def backward_rounds(
    program: Program,
    parameters: Parameters,
    sequences: Sequences,
    kept: Kept,
    count: Tensor,
    cotangents: Cotangents,
    adjoint: Adjoint,
    gradients: Gradients,
    *,
    rounds: int | Tensor,
) -> tuple[Adjoint, Gradients, Tensor]:
    """The adjoint of the `count` rounds of a block, each with the skips that follow it.

    Returns the adjoint of the block's start, the parameters' gradients added to `gradients`, and the inputs'
    gradients at the updates, `[rounds, batch, features]`.
    """
    spec, inputs = program.spec, sequences.inputs
    steps = tf.shape(inputs)[0]
    weights = weights_of(spec, parameters)
    times = tf.minimum(kept.position.time, steps - 1)
    inputs_at, gates_at = at_times(inputs, times), at_times(cotangents.gates, times)

    def body(
        k: Tensor, adjoint: Adjoint, gradients: Gradients, room: Room, ginputs: tf.TensorArray
    ) -> tuple[object, ...]:
        before, after = _row(kept.position, k), _row(kept.position, k + 1)
        updates = before.time < steps
        records = tf.nest.map_structure(lambda leaf: leaf[k], kept.records)

        def recurrent_after(turn: Tensor) -> tuple[Parts, ...]:
            # Row k + 1, as turns count from 1; written so that XLA does not copy it ahead of the turns.
            row = k + tf.minimum(turn, 1)
            return tuple(tuple(part[row] for part in record[: len(spec.kind.normalised)]) for record in kept.records)

        run = SkipRun(before.time, tf.zeros_like(adjoint.update_prob), after, recurrent_after)
        adjoint, room = backward_skips(program, weights, sequences, run, cotangents, adjoint, room)
        adjoint = adjoint._replace(layers=with_outputs(adjoint.layers, cotangents.h, updates, times[k]))
        turn = Turn(before, after, updates, records, inputs_at[k], gates_at[k])
        adjoint, added, gbelow = _backward_update(spec, weights, turn, adjoint)
        gradients = {name: value + tf.cast(added[name], value.dtype) for name, value in gradients.items()}
        return k - 1, adjoint, gradients, room, ginputs.write(k, gbelow)

    ginputs = tf.TensorArray(inputs.dtype, size=rounds, element_shape=inputs.shape[1:])
    _, adjoint, gradients, _, ginputs = tf.while_loop(
        lambda k, *_: k >= 0, body, (count - 1, adjoint, gradients, room_for_skips(sequences), ginputs)
    )
    return adjoint, gradients, ginputs.stack()


def _row(rows: Position, k: Tensor) -> Position:
    row: Position = tf.nest.map_structure(lambda leaf: leaf[k], rows)
    return row


def _backward_update(
    spec: CellSpec, weights: Weights, turn: Turn, adjoint: Adjoint
) -> tuple[Adjoint, Gradients, Tensor]:
    """The adjoint of one round's updates; sequences without one keep theirs.

    Returns the adjoint before the updates, the parameters' gradients, and those of the inputs.
    """
    zeros = tf.nest.map_structure(tf.zeros_like, adjoint.layers)
    entering = select(turn.updates, adjoint.layers, zeros)
    staying = select(turn.updates, zeros, adjoint.layers)
    added: Gradients = {}
    scalars = adjoint.update_prob, adjoint.cum_update_prob
    if spec.skips:
        scalars, glogit = _backward_gate(turn, adjoint, precision=spec.precision)
        fed = tf.cast(turn.after.layers[spec.gate_layer][0], glogit.dtype)
        if spec.precision == "float32":
            added["update_gate.weights"] = tf.matmul(fed, glogit[:, tf.newaxis], transpose_a=True)
        else:  # as in `skip_gate.update_probability`
            added["update_gate.weights"] = tf.reduce_sum(fed * glogit[:, tf.newaxis], axis=0)[:, tf.newaxis]
        added["update_gate.biases"] = tf.reduce_sum(glogit)[tf.newaxis]
        number = spec.gate_layer % len(spec.units)
        gfed = glogit[:, tf.newaxis] * tf.cast(weights.gate[0][:, 0], glogit.dtype)
        first = entering[number][0] + tf.cast(gfed, entering[number][0].dtype)
        entering = (*entering[:number], (first, *entering[number][1:]), *entering[number + 1 :])
    leaving, of_layers, gbelow = _backward_layers(spec, weights, turn, entering)
    layers = tf.nest.map_structure(tf.add, leaving, staying)
    return Adjoint(layers, *scalars), added | of_layers, gbelow


def _backward_gate(turn: Turn, adjoint: Adjoint, *, precision: str) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """The adjoint of the skip gate where it fires: gradients of Δũ and ũ before, and of the logit after; `[batch]`."""
    before, after = turn.before, turn.after
    gprob, gcum = adjoint.update_prob, adjoint.cum_update_prob
    room = 1.0 - before.cum_update_prob
    cumulative = before.cum_update_prob + tf.minimum(before.update_prob, room)
    ggate = (
        inner(adjoint.layers, after.layers, before.layers, precision=precision)
        + gprob * (after.update_prob - before.update_prob)
        - gcum * cumulative
        + turn.gates
    )
    glogit = tf.where(turn.updates, gprob * after.update_prob * (1.0 - after.update_prob), tf.zeros_like(gprob))
    ggate = tf.where(before.update_prob > room, tf.zeros_like(ggate), ggate)  # so put that a NaN goes on
    return (tf.where(turn.updates, ggate, gprob), tf.where(turn.updates, ggate, gcum)), glogit


def _backward_layers(
    spec: CellSpec, weights: Weights, turn: Turn, entering: Layers
) -> tuple[Layers, Gradients, Tensor]:
    """Down the stack: gradients of the old state, of the parameters and of the inputs."""
    gradients: Gradients = {}
    gbelow: Tensor | None = None
    leaving: list[LayerState] = []
    for number in reversed(range(len(spec.units))):
        layer, state, candidate = weights.layers[number], turn.before.layers[number], turn.after.layers[number]
        below = turn.after.layers[number - 1][-1] if number else turn.inputs
        activated = recall(spec, layer, below, turn.records[number])
        *rest, gh = entering[number]
        cotangents = (*rest, gh if gbelow is None else gh + gbelow)
        changes, gstate = backward(spec, layer, state, candidate, activated, cotangents)
        gbelow = inputs_gradient(spec, layer, changes)
        leaving.insert(0, gstate)
        found = weight_gradients(spec, layer, below, state, activated, changes)
        gradients.update({f"layers.{number}.{name}": value for name, value in found.items()})
    return tuple(leaving), gradients, gbelow
