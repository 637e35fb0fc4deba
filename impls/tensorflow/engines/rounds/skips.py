"""The adjoint of a run of skips: the steps between one update and the next, or the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
from impls.tensorflow.engines.unrolled import static_or_dynamic_size


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


class Room(NamedTuple):
    """What a run of skips writes before it is read, carried from run to run, as XLA fills new room with zeros.

    `cumulatives` `[time + 1, batch]` are ũ at each turn. `changes` and `proposals` `[time, batch]` are of all skips of
    the run in one list, a row as many as there are sequences: `⟨gs, s̃ − s⟩`, and the Δũ that s̃ proposes.
    """

    cumulatives: tf.TensorArray
    changes: tf.TensorArray
    proposals: tf.TensorArray


def room_for_skips(sequences: Sequences) -> Room:
    """Room for the longest run of skips that there can be."""
    steps, batch = tf.shape(sequences.inputs)[0], sequences.inputs.shape[1:2]
    dtype = skip_gate.gate_dtype(sequences.inputs.dtype)
    return Room(*(tf.TensorArray(dtype, size=size, element_shape=batch) for size in (steps + 1, steps, steps)))


def sums_over_skips(h: Tensor, fires: Tensor) -> Tensor:
    """Of the outputs' gradients `h` `[batch, time, units]`, the sum from a skipped step to the end of its run of skips.

    Returns `[time, batch, units]`, zeros at updates. `fires` `[batch, time]` are these; past a sequence's end, where
    there are none, h has no gradient.
    """
    steps = static_or_dynamic_size(h, 1)
    skipped, h = tf.transpose(~fires), tf.transpose(h, [1, 0, 2])

    def body(step: Tensor, later: Tensor, sums: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
        later = tf.where(skipped[step][:, tf.newaxis], later + h[step], tf.zeros_like(later))
        return step - 1, later, sums.write(step, later)

    sums = tf.TensorArray(h.dtype, size=steps, element_shape=h.shape[1:])
    start = (tf.convert_to_tensor(steps - 1), tf.zeros_like(h[0]), sums)
    _, _, sums = tf.while_loop(lambda step, *_: step >= 0, body, start)
    stacked: Tensor = sums.stack()
    return stacked


def backward_skips(
    program: Program,
    weights: Weights,
    sequences: Sequences,
    run: SkipRun,
    cotangents: Cotangents,
    adjoint: Adjoint,
    room: Room,
) -> tuple[Adjoint, Room]:
    """From the adjoint after a run of skips to that before it, with the room that is carried on.

    The state does not change here, and no gradient enters the cell: gs is that after the run and the outputs' gradients
    from there on, whose sums are given. But each gate's gradient asks for the candidate (eq. 7); it depends on nothing
    later, and but for the recurrent parts is element-wise for an LSTM. The candidates are made in one list of the skips
    that there are, so that what sequences wait for in the longest run of a round is a recursion over two numbers.
    """
    if program.decision == "always":
        return adjoint, room
    steps = tf.shape(sequences.inputs)[0]
    update_prob, end = run.position.update_prob, run.position.time
    if sequences.lengths is not None:
        end = tf.minimum(end, sequences.lengths)
    skips = tf.where(run.time < steps, end - run.time - 1, tf.zeros_like(run.time))
    leaving = with_outputs(adjoint.layers, cotangents.skipped, skips > 0, tf.minimum(run.time + 1, steps - 1))
    if not program.spec.skips:
        return adjoint._replace(layers=leaving), room
    most = tf.reduce_max(skips)

    def replay(j: Tensor, stored: Tensor, cumulatives: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
        following = skip_gate.accumulate(update_prob=update_prob, cum_update_prob=stored)
        return j + 1, following, cumulatives.write(j, stored)

    start = (tf.constant(1), run.stored, room.cumulatives)
    _, _, cumulatives = tf.while_loop(lambda j, *_: j <= most, replay, start)
    room = _list_skips(program, weights, sequences, run, cotangents, adjoint.layers, skips, room)
    room = room._replace(cumulatives=cumulatives)
    changes, proposals = (tf.reshape(array.stack(), [-1]) for array in (room.changes, room.proposals))
    before_first = tf.cumsum(skips, exclusive=True) - 1

    def body(j: Tensor, gprob: Tensor, gcum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        skipped = j <= skips
        number = tf.where(skipped, before_first + j, 0)
        stored = cumulatives.read(j)
        left = 1.0 - stored
        ggate = (
            tf.gather(changes, number)
            + gprob * (tf.gather(proposals, number) - update_prob)
            + gcum * (1.0 - stored - tf.minimum(update_prob, left))
            + at_times(cotangents.gates, tf.minimum(run.time + j, steps - 1))
        )
        gprob = tf.where(skipped & (update_prob <= left), gprob + ggate, gprob)
        gcum = tf.where(skipped, tf.where(update_prob <= left, ggate, 0.0), gcum)
        return j - 1, gprob, gcum

    start = (most, adjoint.update_prob, adjoint.cum_update_prob)
    _, gprob, gcum = tf.while_loop(lambda j, *_: j > 0, body, start)
    return Adjoint(leaving, gprob, gcum), room


def _list_skips(
    program: Program,
    weights: Weights,
    sequences: Sequences,
    run: SkipRun,
    cotangents: Cotangents,
    glayers: Layers,
    skips: Tensor,
    room: Room,
) -> Room:
    """Fills the room's list: the skips of the first sequence in the order of time, those of the second, and so on."""
    spec, inputs = program.spec, sequences.inputs
    steps, batch = (static_or_dynamic_size(inputs, axis) for axis in (0, 1))
    ends = tf.cumsum(skips)

    def body(row: Tensor, changes: tf.TensorArray, proposals: tf.TensorArray) -> tuple[Tensor, ...]:
        number = row * batch + tf.range(batch)
        # Past the last skip it is the last sequence's, at any step: nobody reads that.
        sequence = tf.searchsorted(ends[:-1], number, side="right")
        time, first = tf.gather(run.time, sequence), tf.gather(ends - skips, sequence)
        place = tf.clip_by_value(time + 1 + number - first, 0, steps - 1) * batch + sequence

        def of_sequences(leaves: Any) -> Any:
            return tf.nest.map_structure(lambda leaf: tf.gather(leaf, sequence), leaves)

        below = tf.gather(tf.reshape(inputs, [-1, inputs.shape[2]]), place)
        layers, entering = of_sequences(run.position.layers), of_sequences(glayers)
        if isinstance(cotangents.skipped, Tensor):
            *rest, h = entering[-1]
            later = tf.gather(tf.reshape(cotangents.skipped, [-1, h.shape[1]]), place)
            entering = (*entering[:-1], (*rest, h + later))
        candidates, _ = candidates_of(spec, weights, below, layers, of_sequences(run.recurrent(row + 1)))
        changes = changes.write(row, inner(entering, candidates, layers, precision=spec.precision))
        return row + 1, changes, proposals.write(row, propose(spec, weights, candidates))

    start = (tf.constant(0), room.changes, room.proposals)
    _, changes, proposals = tf.while_loop(lambda row, *_: row * batch < tf.reduce_sum(skips), body, start)
    return room._replace(changes=changes, proposals=proposals)


def with_outputs(layers: Layers, gradients: Any, mask: Tensor, times: Tensor) -> Layers:
    """Gradients of the state with those of outputs, `[time, batch, units]` or (), at `times` where the mask holds."""
    if not isinstance(gradients, Tensor):
        return layers
    *rest, h = layers[-1]
    h = tf.where(mask[:, tf.newaxis], h + at_times(gradients, times), h)
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
