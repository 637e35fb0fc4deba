"""The loops over blocks of rounds: TensorFlow's own, outside XLA.

Block after block is run until no sequence has an update left, so that time and memory follow the number of
updates though every shape is static. Inside a function that its caller compiles, all rounds are one block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import Tensor
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

from impls.states import FlatState
from impls.tensorflow.adjoints import Gradients
from impls.tensorflow.engines.rounds.blocks import (
    Blocks,
    Placed,
    compiled_blocks,
    leaves_of_a_block,
    rounds_in_a_block,
)
from impls.tensorflow.engines.rounds.positions import (
    Adjoint,
    Cotangents,
    Kept,
    Parameters,
    Position,
    Program,
    Sequences,
    gate_scalars,
)
from impls.tensorflow.engines.unrolled import Unrolled, static_or_dynamic_size
from impls.tensorflow.skip_gate import gate_dtype


def compiled_by_caller() -> bool:
    """Whether this is being traced into a function that XLA compiles; it removes what nobody asks for."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph()))


class Remembered(NamedTuple):
    """What the forward pass leaves to the backward one.

    `kept` has the positions of every block: TensorArrays of blocks, or tensors with one axis more in front where
    all rounds are one block. `counts` are the rounds that each of the `blocks` ran; `placed` says which round each step
    belongs to.
    """

    start: Position
    kept: Kept
    counts: Any
    blocks: Any
    placed: Placed


def run_forward(
    program: Program, used: Parameters, sequences: Sequences, state: FlatState
) -> tuple[Unrolled, Remembered]:
    """Runs blocks until no sequence has an update left, then puts the rounds' states in the order of time.

    Without `every_step` the result's h is ().
    """
    spec, compiled = program.spec, compiled_blocks(program)
    start = compiled.begin(sequences, state)
    leaves = leaves_of_a_block(program, sequences)
    if program.whole:
        position, count, kept = compiled.forward(used, sequences, start)
        arrays: list[Any] = [leaf[tf.newaxis] for leaf in tf.nest.flatten(kept)]
        counts, blocks, times = count[tf.newaxis], 1, kept.position.time[tf.newaxis]
    else:
        position, arrays, counts, blocks, times = _forward_blocks(program, compiled, used, sequences, start, leaves)
    placed = compiled.place(times, sequences, position)
    kept = tf.nest.pack_sequence_as(leaves, arrays)
    h: Any = ()
    if program.every_step:
        h = tf.gather(_rows(kept.position.layers[-1][-1], blocks, width=spec.units[-1]), placed.rows)
        h.set_shape([sequences.inputs.shape[1], sequences.inputs.shape[0], spec.units[-1]])
    gate = (position.update_prob[:, tf.newaxis], position.cum_update_prob[:, tf.newaxis]) if spec.skips else ()
    outputs = Unrolled(h, placed.gates[:, :, tf.newaxis], FlatState(position.layers, gate))
    return outputs, Remembered(start, kept, counts, blocks, placed)


def _forward_blocks(
    program: Program, compiled: Blocks, used: Parameters, sequences: Sequences, start: Position, leaves: Kept
) -> tuple[Position, list[Any], Any, Tensor, Tensor]:
    """Block after block: where the sequences stand, what the blocks kept, their rounds, their number, and all times."""
    steps, batch = (static_or_dynamic_size(sequences.inputs, axis) for axis in (0, 1))
    rounds = rounds_in_a_block(program, steps)
    size = -(-steps // rounds)
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

    blocks, position, arrays, counts = tf.while_loop(
        # One block at least: where nothing updates at all, its empty rounds are what is gathered from.
        lambda done, position, *_: tf.logical_or(done < 1, tf.reduce_any(position.time < steps)),
        body,
        (tf.constant(0), start, arrays, counts),
    )
    times = arrays[0].gather(tf.range(blocks))
    times = tf.concat([times, tf.fill([size - blocks, rounds + 1, batch], steps)], axis=0)
    return position, arrays, counts, blocks, times


def _rows(array: Any, blocks: Any, *, width: int) -> Tensor:
    """All blocks of one kept leaf as rows, `[blocks * rounds * batch, width]`."""
    stacked = array.gather(tf.range(blocks)) if isinstance(array, tf.TensorArray) else array
    return tf.reshape(stacked, [-1, width])


def _read(array: Any, number: Any) -> Tensor:
    return array.read(number) if isinstance(array, tf.TensorArray) else array[number]


def run_backward(
    program: Program,
    used: Parameters,
    sequences: Sequences,
    state: FlatState,
    remembered: Remembered,
    cotangents: Unrolled,
) -> tuple[Tensor, FlatState, Gradients]:
    """The gradients of the inputs, the state and the parameters; blocks from the last to the first.

    `cotangents` are those of what `run_forward` returns. Sums over rounds are float32 at least, as the gate's scalars.
    """
    spec, compiled = program.spec, compiled_blocks(program)
    inputs, start, placed = sequences.inputs, remembered.start, remembered.placed
    of_outputs = _of_outputs(program, compiled, sequences, placed, cotangents)
    scalars = gate_scalars(spec, cotangents.state if spec.skips else state, like=inputs)
    adjoint = Adjoint(cotangents.state.layers, *scalars)
    sums = {name: tf.zeros_like(value, gate_dtype(value.dtype)) for name, value in used.items()}

    def block(number: Any, adjoint: Adjoint, sums: Gradients) -> tuple[Adjoint, Gradients, Tensor]:
        kept = tf.nest.map_structure(lambda array: _read(array, number), remembered.kept)
        count = _read(remembered.counts, number)
        return compiled.backward(used, sequences, kept, count, of_outputs, adjoint, sums)

    if program.whole:
        adjoint, sums, ginputs = block(0, adjoint, sums)
    else:

        def body(number: Tensor, adjoint: Adjoint, sums: Gradients, rows: Any) -> tuple[Any, ...]:
            *carried, of_block = block(number, adjoint, sums)
            adjoint, sums = _shaped_like(tuple(carried), (adjoint, sums))
            return number - 1, adjoint, sums, rows.write(number, of_block)

        rows = tf.TensorArray(inputs.dtype, size=remembered.blocks, infer_shape=False)
        _, adjoint, sums, rows = tf.while_loop(
            lambda number, *_: number >= 0, body, (remembered.blocks - 1, adjoint, sums, rows)
        )
        ginputs = rows.stack()
    ginputs = tf.gather(tf.reshape(ginputs, [-1, inputs.shape[2]]), placed.rounds)
    ginputs = tf.where(placed.fires[:, :, tf.newaxis], ginputs, tf.zeros_like(ginputs))
    if program.decision != "always":  # steps may be skipped before the first update
        adjoint = compiled.begin_backward(used, sequences, state, start, of_outputs, adjoint)
    gate = (adjoint.update_prob[:, tf.newaxis], adjoint.cum_update_prob[:, tf.newaxis]) if spec.skips else ()
    gradients = {name: tf.cast(value, used[name].dtype) for name, value in sums.items()}
    return ginputs, FlatState(adjoint.layers, gate), gradients


def _of_outputs(
    program: Program, compiled: Blocks, sequences: Sequences, placed: Placed, cotangents: Unrolled
) -> Cotangents:
    """The outputs' gradients in the order of time, with what a run of skips asks of them."""
    h: Any = cotangents.h
    skipped: Any = ()
    if isinstance(h, Tensor):
        if program.decision != "always":
            skipped = compiled.sums_over_skips(h, placed.fires)
        h = tf.transpose(h, [1, 0, 2])
    return Cotangents(h, skipped, tf.cast(tf.transpose(cotangents.gates[:, :, 0]), gate_dtype(sequences.inputs.dtype)))


def _shaped_like(structure: Any, like: Any) -> Any:
    """The same tensors with the static shapes of `like`: a compiled block traced for any batch has lost them."""
    for tensor, of in zip(tf.nest.flatten(structure), tf.nest.flatten(like), strict=True):
        tensor.set_shape(of.shape)
    return structure
