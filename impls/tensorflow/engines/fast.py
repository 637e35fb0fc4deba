"""The fast engine: the results of `unroll_reference`, with matrix products at updates alone.

The k-th updates of all sequences are one dense batch, a round; blocks of rounds are compiled by XLA. The parts are
in `rounds/`; the derivation is in `docs/engines.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow import Tensor
from tensorflow.python.eager import record

from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.adjoints import pieces_of
from impls.tensorflow.engines.rounds.jumps import decision_of
from impls.tensorflow.engines.rounds.loops import compiled_by_caller, run_backward, run_forward
from impls.tensorflow.engines.rounds.positions import Program, Sequences
from impls.tensorflow.engines.unrolled import Unrolled, real_steps, without_padding
from impls.tensorflow.skip_gate import gate_dtype


def unroll_fast(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    lengths: Tensor | None = None,
    every_step: bool = True,
) -> Unrolled:
    """Jumps from update to update; arguments and result as those of `unroll_reference`.

    `updates` and `gate_noise` are constants to the gradient. Raises `CellError` for a kind of cell without adjoint.
    """
    pieces_of(spec)  # refuses a kind that has none
    whole = compiled_by_caller()
    program = Program(
        spec=spec,
        decision=decision_of(spec, updates=updates),
        keep=whole or record.could_possibly_record(),
        every_step=every_step,
        whole=whole,
    )
    draws = {"scheduled": updates, "bernoulli": gate_noise}.get(program.decision)
    inputs = tf.ensure_shape(inputs, [None, None, spec.input_size])
    real = None if lengths is None else real_steps(lengths, steps=tf.shape(inputs)[1])
    used = {name: tf.convert_to_tensor(value) for name, value in parameters.items() if _is_used(name)}
    differentiable = tf.nest.flatten((inputs, state, used))
    like = (inputs, state, used)

    def run(*flat: Tensor) -> tuple[list[Tensor], Callable[..., list[Tensor]]]:
        inputs, state, used = tf.nest.pack_sequence_as(like, [tf.stop_gradient(leaf) for leaf in flat])
        sequences = _sequences(inputs, draws=draws, lengths=lengths, real=real)
        outputs, remembered = run_forward(program, used, sequences, state)

        def grad(*cotangents: Tensor) -> list[Tensor]:
            kept = remembered
            keeping = replace(program, keep=True)
            if not program.keep:  # no gradient was in sight when this was traced: run once more, and keep
                _, kept = run_forward(keeping, used, sequences, state)
            of_outputs = tf.nest.pack_sequence_as(outputs, list(cotangents))
            read = (used, sequences, state, kept, of_outputs)
            if not tf.executing_eagerly():  # `tf.cond` loses what is first read on the way into a compiled function
                read = tf.nest.map_structure(_renamed, read)
            of_all: list[Tensor] = tf.nest.flatten(run_backward(keeping, *read))
            return of_all

        return tf.nest.flatten(outputs), grad

    # Nothing here needs AutoGraph, which would rewrite all of it in a caller's traced function.
    outputs = tf.autograph.experimental.do_not_convert(tf.custom_gradient(run))(*differentiable)
    unrolled: Unrolled = tf.nest.pack_sequence_as(Unrolled(inputs if every_step else (), inputs, state), outputs)
    last = unrolled.state.layers[-1][-1][:, tf.newaxis]
    if not every_step:  # the final state is the last step, without a gradient as long as the sequence
        return unrolled._replace(h=last)
    if real is not None:  # beyond the end the final state again, and its gradient
        return unrolled._replace(h=tf.where(real, unrolled.h, last))
    return unrolled


def _sequences(inputs: Tensor, *, draws: Tensor | None, lengths: Tensor | None, real: Tensor | None) -> Sequences:
    """What rounds read, with time first; nothing of it has a gradient of the framework's own."""
    if real is not None:  # a NaN in the padding would reach sums over the batch, as 0 · NaN
        inputs = without_padding(inputs, real=real)
    if draws is not None:
        draws = tf.cast(tf.transpose(tf.stop_gradient(draws)), gate_dtype(inputs.dtype))
    ends = None if lengths is None else tf.cast(lengths, tf.int32)
    return Sequences(tf.transpose(inputs, [1, 0, 2]), draws, ends)


def _renamed(value: Any) -> Any:
    return tf.identity(value) if isinstance(value, tf.Tensor) else value


def _is_used(name: str) -> bool:
    """Whether the loop reads a parameter: initial states come as the state, a readout is none of its business."""
    return name.startswith("update_gate.") or (name.startswith("layers.") and ".initial_" not in name)
