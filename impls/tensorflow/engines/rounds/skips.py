"""The adjoint of a run of skips: the steps between one update and the next, or the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.tensorflow import skip_gate
from impls.tensorflow.adjoints import Parts
from impls.tensorflow.engines.rounds.candidates import Weights, candidates_of, propose
from impls.tensorflow.engines.rounds.positions import (
    Adjoint,
    Cotangents,
    Layers,
    Position,
    Program,
    Sequences,
    at_times,
)


class SkipRun(NamedTuple):
    """One run of skips of every sequence.

    `time` `[batch]` is the update's before it, −1 before the first step; `stored` the ũ stored there, 0 after an
    update; `position` is where the sequences stand after it. `recurrent` gives the recurrent parts of the state, which
    are the same for the whole run, at a turn counted from 1.
    """

    time: Tensor
    stored: Tensor
    position: Position
    recurrent: Callable[[Tensor], tuple[Parts, ...]]


def room_for_cumulatives(sequences: Sequences) -> tf.TensorArray:
    """Room for ũ at every step of one run of skips; carried from run to run, as XLA fills new room with zeros."""
    inputs = sequences.inputs
    dtype = skip_gate.gate_dtype(inputs.dtype)
    return tf.TensorArray(dtype, size=tf.shape(inputs)[0] + 1, element_shape=inputs.shape[1:2])


def backward_skips(
    program: Program,
    weights: Weights,
    sequences: Sequences,
    run: SkipRun,
    cotangents: Cotangents,
    adjoint: Adjoint,
    cumulatives: tf.TensorArray,
) -> tuple[Adjoint, tf.TensorArray]:
    """From the adjoint after a run of skips to that before it, with the room for ũ that is carried on.

    The state does not change here, and no gradient enters the cell. But each gate's gradient asks for the candidate
    (eq. 7); it depends on nothing later, and but for the recurrent parts is element-wise for an LSTM.
    """
    if program.decision == "always":
        return adjoint, cumulatives
    spec = program.spec
    steps = tf.shape(sequences.inputs)[0]
    layers, update_prob = run.position.layers, run.position.update_prob
    end = run.position.time
    if sequences.lengths is not None:
        end = tf.minimum(end, sequences.lengths)
    skips = tf.where(run.time < steps, end - run.time - 1, tf.zeros_like(run.time))
    most = tf.reduce_max(skips)

    def replay(j: Tensor, stored: Tensor, cumulatives: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
        following = skip_gate.accumulate(update_prob=update_prob, cum_update_prob=stored)
        return j + 1, following, cumulatives.write(j, stored)

    if spec.skips:
        _, _, cumulatives = tf.while_loop(lambda j, *_: j <= most, replay, (tf.constant(1), run.stored, cumulatives))

    def body(j: Tensor, adjoint: Adjoint) -> tuple[Tensor, Adjoint]:
        skipped = j <= skips
        at = tf.minimum(run.time + j, steps - 1)
        glayers = with_outputs(adjoint.layers, cotangents, skipped, at)
        if not spec.skips:
            return j - 1, adjoint._replace(layers=glayers)
        candidates, _ = candidates_of(spec, weights, at_times(sequences.inputs, at), layers, run.recurrent(j))
        stored = cumulatives.read(j)
        room = 1.0 - stored
        gprob, gcum = adjoint.update_prob, adjoint.cum_update_prob
        ggate = (
            inner(glayers, candidates, layers, precision=spec.precision)
            + gprob * (propose(spec, weights, candidates) - update_prob)
            + gcum * (1.0 - stored - tf.minimum(update_prob, room))
            + at_times(cotangents.gates, at)
        )
        gprob = tf.where(skipped & (update_prob <= room), gprob + ggate, gprob)
        gcum = tf.where(skipped, tf.where(update_prob <= room, ggate, 0.0), gcum)
        return j - 1, Adjoint(glayers, gprob, gcum)

    _, adjoint = tf.while_loop(lambda j, _: j > 0, body, (most, adjoint))
    return adjoint, cumulatives


def with_outputs(layers: Layers, cotangents: Cotangents, mask: Tensor, time: Tensor) -> Layers:
    """Gradients of the state after step `time`, with those of the outputs there, where the mask `[batch]` holds."""
    if not isinstance(cotangents.h, Tensor):
        return layers
    *rest, h = layers[-1]
    h = tf.where(mask[:, tf.newaxis], h + tf.gather(cotangents.h, time, axis=1, batch_dims=1), h)
    return (*layers[:-1], (*rest, h))


def inner(mine: Layers, others: Layers, less: Layers, *, precision: str) -> Tensor:
    """`⟨mine, others − less⟩` over every layer, `[batch]`, in float32 at least."""
    dtype = skip_gate.gate_dtype(mine[0][0].dtype)
    of_layers: list[Tensor] = []
    for leaves in zip(mine, others, less, strict=True):
        wide = (tuple(tf.cast(leaf, dtype) for leaf in triple) for triple in zip(*leaves, strict=True))
        terms = tf.add_n([a * (b - c) for a, b, c in wide])
        if precision == "float32":  # a product with ones is vector code to XLA, and a sum along rows is not
            of_layers.append(tf.matmul(terms, tf.ones([1, terms.shape[1]], dtype), transpose_b=True)[:, 0])
        else:
            of_layers.append(tf.reduce_sum(terms, axis=1))
    return tf.add_n(of_layers)
