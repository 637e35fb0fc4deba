"""Blocks of rounds, compiled by XLA, and the loops over them: TensorFlow's own, outside XLA.

Block after block is run until no sequence has an update left, so that time and memory follow the number of
updates though every shape is static. Inside a function that its caller compiles, all rounds are one block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import Tensor
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.adjoints import Gradients
from impls.tensorflow.engines.rounds import loops
from impls.tensorflow.engines.rounds.jumps import latest_update, next_update
from impls.tensorflow.engines.rounds.loops import Adjoint, Cotangents, Kept, Position, Sequences
from impls.tensorflow.engines.unrolled import Unrolled, static_or_dynamic_size

MOST_BLOCKS = 28  # blocks of rounds that a sequence is cut into: few launches, small buffers
LEAST_ROUNDS = 25

Parameters = Mapping[str, Tensor]


def compiled_by_caller() -> bool:
    """Whether this is being traced into a function that XLA compiles; it removes what nobody asks for."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph()))


class Remembered(NamedTuple):
    """What the forward pass leaves to the backward one.

    `kept` has the positions of every block: TensorArrays of blocks, or tensors with one axis more in front where
    all rounds are one block. `counts` are the rounds that each block ran; `latest` and `gates` `[batch, time]` say
    which round each step belongs to, and whether it is the update.
    """

    start: Position
    kept: Kept
    counts: Any
    blocks: Any
    latest: Tensor
    gates: Tensor


class Blocks(NamedTuple):
    """The compiled pieces of one cell."""

    begin: Callable[..., Position]
    forward: Callable[..., tuple[Position, Tensor, Kept]]
    place: Callable[..., tuple[Tensor, Tensor, Tensor]]
    backward: Callable[..., tuple[Adjoint, Gradients, Tensor]]
    begin_backward: Callable[..., Adjoint]
    rounds: Callable[..., Any]
    leaves: Callable[[Sequences], Kept]


@functools.cache
def _compile(spec: CellSpec, *, source: str, keep: bool, every_step: bool, whole: bool) -> Blocks:
    """The pieces for one cell, `whole` where all rounds are one block; each is compiled once a shape."""

    def rounds_in_a_block(length: Any) -> Any:
        if whole:
            return length
        if isinstance(length, int):
            return min(length, max(LEAST_ROUNDS, -(-length // MOST_BLOCKS)))
        return tf.minimum(length, tf.maximum(LEAST_ROUNDS, -(-length // MOST_BLOCKS)))

    def rounds_of(sequences: Sequences) -> Any:
        return rounds_in_a_block(static_or_dynamic_size(sequences.inputs, 0))

    def leaves_of(sequences: Sequences) -> Kept:
        rounds = rounds_of(sequences)
        return loops.kept_leaves(
            spec,
            rounds=rounds if isinstance(rounds, int) else None,
            batch=sequences.inputs.shape[1],
            dtype=sequences.inputs.dtype,
            keep=keep,
            every_step=every_step,
        )

    def begin(sequences: Sequences, state: FlatState) -> Position:
        prob, stored = _gate_of(spec, state, like=sequences.inputs)
        before = tf.fill(tf.shape(prob), -1)
        time, stored = next_update(
            source=source,
            update_prob=prob,
            cum_update_prob=stored,
            time=before,
            steps=tf.shape(sequences.inputs)[0],
            lengths=sequences.lengths,
            draws=sequences.draws,
        )
        return Position(time, state.layers, prob, stored)

    def forward(used: Parameters, sequences: Sequences, position: Position) -> tuple[Position, Tensor, Kept]:
        rounds, leaves = rounds_of(sequences), leaves_of(sequences)
        return loops.forward_rounds(spec, used, sequences, position, source=source, rounds=rounds, leaves=leaves)

    def place(times: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor, Tensor]:
        rounds, batch = tf.shape(times)[1] - 1, tf.shape(times)[2]
        latest, gates = latest_update(tf.reshape(times[:, :-1], [-1, batch]), steps=tf.shape(sequences.inputs)[0])
        latest -= 1
        rows = tf.where(latest < 0, 0, latest // rounds * (rounds + 1) + latest % rounds + 1)
        sequence = tf.range(batch)[:, tf.newaxis]
        return rows * batch + sequence, tf.maximum(latest, 0) * batch + sequence, gates

    def backward(
        used: Parameters,
        sequences: Sequences,
        kept: Kept,
        count: Tensor,
        cotangents: Cotangents,
        adjoint: Adjoint,
        gradients: Gradients,
    ) -> tuple[Adjoint, Gradients, Tensor]:
        return loops.backward_rounds(
            spec,
            used,
            sequences,
            kept,
            count,
            cotangents,
            adjoint,
            gradients,
            source=source,
            rounds=rounds_of(sequences),
        )

    def begin_backward(
        used: Parameters,
        sequences: Sequences,
        state: FlatState,
        start: Position,
        cotangents: Cotangents,
        adjoint: Adjoint,
    ) -> Adjoint:
        _, stored = _gate_of(spec, state, like=sequences.inputs)
        split = loops.split_layers(spec, used)
        recurrent = loops.recurrent_parts(spec, split, state.layers)
        adjoint, _ = loops.backward_skips(
            spec,
            split,
            used,
            sequences,
            tf.fill(tf.shape(stored), -1),
            stored,
            start,
            lambda _: recurrent,
            cotangents,
            adjoint,
            loops.room_for_cumulatives(sequences),
            source=source,
        )
        return adjoint

    compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
    return Blocks(
        compiled(begin),
        compiled(forward),
        compiled(place),
        compiled(backward),
        compiled(begin_backward),
        rounds_in_a_block,
        leaves_of,
    )


def _gate_of(spec: CellSpec, state: FlatState, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """The gate's two scalars, each `[batch]`; of plain cells 1 and 0, which nothing reads."""
    if spec.skips:
        return state.gate[0][:, 0], state.gate[1][:, 0]
    one = tf.ones_like(like[0, :, 0])
    return one, tf.zeros_like(one)


def run_forward(
    spec: CellSpec,
    source: str,
    keep: bool,
    every_step: bool,
    used: Parameters,
    sequences: Sequences,
    state: FlatState,
) -> tuple[Unrolled, Remembered]:
    """Runs blocks until no sequence has an update left, then puts the rounds' states in the order of time.

    Without `every_step` the result's h is ().
    """
    whole = compiled_by_caller()
    compiled = _compile(spec, source=source, keep=keep, every_step=every_step, whole=whole)
    inputs = sequences.inputs
    length = static_or_dynamic_size(inputs, 0)
    start = compiled.begin(sequences, state)
    if whole:
        position, count, kept = compiled.forward(used, sequences, start)
        arrays, counts, done = [leaf[tf.newaxis] for leaf in tf.nest.flatten(kept)], count[tf.newaxis], 1
        leaves, times = kept, kept.position.time[tf.newaxis]
    else:
        rounds = compiled.rounds(length)
        size = -(-length // rounds)
        batch = static_or_dynamic_size(inputs, 1)
        leaves = compiled.leaves(sequences)
        arrays = [
            tf.TensorArray(leaf.dtype, size=size, clear_after_read=False, element_shape=leaf.shape)
            for leaf in tf.nest.flatten(leaves)
        ]
        counts = tf.TensorArray(tf.int32, size=size, clear_after_read=False)

        def body(done: Tensor, position: Position, arrays: list[Any], counts: Any) -> tuple[Any, ...]:
            after, count, kept = compiled.forward(used, sequences, position)
            position = _shaped_like(after, position)
            arrays = [array.write(done, leaf) for array, leaf in zip(arrays, tf.nest.flatten(kept), strict=True)]
            return done + 1, position, arrays, counts.write(done, count)

        done, position, arrays, counts = tf.while_loop(
            # One block at least: where nothing updates at all, its empty rounds are what is gathered from.
            lambda done, position, *_: tf.logical_or(done < 1, tf.reduce_any(position.time < length)),
            body,
            (tf.constant(0), start, arrays, counts),
        )
        times = arrays[0].gather(tf.range(done))
        times = tf.concat([times, tf.fill([size - done, rounds + 1, batch], length)], axis=0)
    index, latest, gates = compiled.place(times, sequences)
    kept = tf.nest.pack_sequence_as(leaves, arrays)
    h: Any = ()
    if every_step:
        h = tf.gather(_rows(kept.position.layers[-1][-1], done, width=spec.units[-1]), index)
        h.set_shape([inputs.shape[1], inputs.shape[0], spec.units[-1]])
    gate = (position.update_prob[:, tf.newaxis], position.cum_update_prob[:, tf.newaxis]) if spec.skips else ()
    outputs = Unrolled(h, tf.cast(gates, inputs.dtype)[:, :, tf.newaxis], FlatState(position.layers, gate))
    return outputs, Remembered(start, kept, counts, done, latest, gates)


def _rows(array: Any, done: Any, *, width: int) -> Tensor:
    """All blocks of one kept leaf as rows, `[blocks * rounds * batch, width]`."""
    blocks = array.gather(tf.range(done)) if isinstance(array, tf.TensorArray) else array
    return tf.reshape(blocks, [-1, width])


def _read(array: Any, number: Any) -> Tensor:
    return array.read(number) if isinstance(array, tf.TensorArray) else array[number]


def run_backward(
    spec: CellSpec,
    source: str,
    used: Parameters,
    sequences: Sequences,
    state: FlatState,
    remembered: Remembered,
    given: Unrolled,
) -> tuple[Tensor, FlatState, Gradients]:
    """The gradients of the inputs, the state and the parameters; blocks from the last to the first."""
    whole = not isinstance(remembered.counts, tf.TensorArray)
    every_step = isinstance(given.h, Tensor)
    compiled = _compile(spec, source=source, keep=True, every_step=every_step, whole=whole)
    inputs, start = sequences.inputs, remembered.start
    cotangents = Cotangents(given.h, tf.transpose(given.gates[:, :, 0]))
    gate = tuple(scalar[:, 0] for scalar in given.state.gate) if spec.skips else _gate_of(spec, state, like=inputs)
    adjoint = Adjoint(given.state.layers, *gate)
    gradients = {name: tf.zeros_like(value) for name, value in used.items()}

    def block(number: Any, adjoint: Adjoint, gradients: Gradients) -> tuple[Adjoint, Gradients, Tensor]:
        kept = tf.nest.map_structure(lambda array: _read(array, number), remembered.kept)
        count = _read(remembered.counts, number)
        return compiled.backward(used, sequences, kept, count, cotangents, adjoint, gradients)

    if whole:
        adjoint, gradients, ginputs = block(0, adjoint, gradients)
    else:

        def body(number: Tensor, adjoint: Adjoint, gradients: Gradients, rows: Any) -> tuple[Any, ...]:
            *carried, of_block = block(number, adjoint, gradients)
            adjoint, gradients = _shaped_like(tuple(carried), (adjoint, gradients))
            return number - 1, adjoint, gradients, rows.write(number, of_block)

        rows = tf.TensorArray(inputs.dtype, size=remembered.blocks, infer_shape=False)
        _, adjoint, gradients, rows = tf.while_loop(
            lambda number, *_: number >= 0, body, (remembered.blocks - 1, adjoint, gradients, rows)
        )
        ginputs = rows.stack()
    ginputs = tf.gather(tf.reshape(ginputs, [-1, inputs.shape[2]]), remembered.latest)
    ginputs = tf.where(remembered.gates[:, :, tf.newaxis], ginputs, tf.zeros_like(ginputs))
    if source != "always":  # steps may be skipped before the first update
        adjoint = compiled.begin_backward(used, sequences, state, start, cotangents, adjoint)
    gate = (adjoint.update_prob[:, tf.newaxis], adjoint.cum_update_prob[:, tf.newaxis]) if spec.skips else ()
    return ginputs, FlatState(adjoint.layers, gate), gradients


def _shaped_like(structure: Any, like: Any) -> Any:
    """The same tensors with the static shapes of `like`: a compiled block traced for any batch has lost them."""
    for tensor, of in zip(tf.nest.flatten(structure), tf.nest.flatten(like), strict=True):
        tensor.set_shape(of.shape)
    return structure
