"""The fast engine: the results of `unroll_reference`, with matrix products at updates alone.

The k-th updates of all sequences are one dense batch, a round; blocks of rounds are compiled by XLA. The parts are
in `rounds/`; the derivation is in `docs/engines.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow import Tensor
from tensorflow.python.eager import record

from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.engines.rounds.blocks import compiled_by_caller, run_backward, run_forward
from impls.tensorflow.engines.rounds.jumps import gate_source
from impls.tensorflow.engines.rounds.loops import Sequences
from impls.tensorflow.engines.unrolled import Unrolled, real_steps, without_padding


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

    `updates` and `gate_noise` are constants to the gradient.
    """
    source = gate_source(spec, updates=updates)
    draws = None if source in ("round", "always") else tf.stop_gradient(updates if source == "given" else gate_noise)
    inputs = tf.ensure_shape(inputs, [None, None, spec.input_size])
    real, ends = None, None
    if lengths is not None:
        real, ends = real_steps(lengths, steps=tf.shape(inputs)[1]), tf.cast(lengths, tf.int32)
    used = {name: tf.convert_to_tensor(value) for name, value in parameters.items() if _is_used(name)}
    differentiable = tf.nest.flatten((inputs, state, used))
    like = (inputs, state, used)
    keep = record.could_possibly_record() or compiled_by_caller()

    def run(*flat: Tensor) -> tuple[list[Tensor], Callable[..., list[Tensor]]]:
        inputs, state, used = tf.nest.pack_sequence_as(like, [tf.stop_gradient(leaf) for leaf in flat])
        if real is not None:  # else a NaN in the padding would reach sums over the batch, as 0 · NaN
            inputs = without_padding(inputs, real=real)
        inputs = tf.transpose(inputs, [1, 0, 2])
        sequences = Sequences(inputs, None if draws is None else tf.transpose(draws), ends)
        outputs, remembered = run_forward(spec, source, keep, every_step, used, sequences, state)

        def grad(*cotangents: Tensor) -> list[Tensor]:
            kept = remembered
            if not keep:  # no gradient was in sight when this was traced: run once more, and keep
                _, kept = run_forward(spec, source, True, every_step, used, sequences, state)
            given = tf.nest.pack_sequence_as(outputs, list(cotangents))
            of_all: list[Tensor] = tf.nest.flatten(run_backward(spec, source, used, sequences, state, kept, given))
            return of_all

        return tf.nest.flatten(outputs), grad

    # Nothing here needs AutoGraph, which would rewrite all of it in a caller's traced function.
    outputs = tf.autograph.experimental.do_not_convert(tf.custom_gradient(run))(*differentiable)
    unrolled: Unrolled = tf.nest.pack_sequence_as(Unrolled(inputs if every_step else (), inputs, state), outputs)
    last = unrolled.state.layers[-1][-1][:, tf.newaxis]
    if not every_step:  # the final state is the last step, without a gradient as long as the sequence
        return unrolled._replace(h=last)
    if real is not None:  # the last state again, so that its gradient is the final state's
        return unrolled._replace(h=tf.where(real, unrolled.h, last))
    return unrolled


def _is_used(name: str) -> bool:
    """Whether the loop reads a parameter: initial states come as the state, a readout is none of its business."""
    return name.startswith("update_gate.") or (name.startswith("layers.") and ".initial_" not in name)
