"""The reference engine: the equations of `equations.py`, step by step; the gradient is the framework's own."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.engines.unrolled import Unrolled, real_steps, static_or_dynamic_size, without_padding
from impls.tensorflow.equations import stack_step


def unroll_reference(
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
    """Runs the cell one step after the other.

    Args:
        spec: the cell.
        parameters: canonical names to tensors.
        inputs: `[batch, time, features]`.
        state: the state before the first step.
        updates: `[batch, time]`, the random skip's gate, for plain cells.
        gate_noise: `[batch, time]`, for Bernoulli gates.
        lengths: `[batch]` whole numbers from 0 to time: a sequence's steps beyond its length leave its state as it is,
            have a gate of 0, and are not read; None where all have every step.
        every_step: whether h is wanted at every step; else it is that of the last one, `[batch, 1, units]`.
    """
    batch, time = tf.compat.dimension_value(inputs.shape[0]), static_or_dynamic_size(inputs, 1)
    real_at = None
    if lengths is not None:
        real = real_steps(lengths, steps=time)
        inputs = without_padding(inputs, real=real)
        real_at = _steps(real, time)
    # Arrays of steps, because the gradient of an indexed tensor is as long as the sequence at every step.
    xs = _steps(inputs, time)
    update_steps = None if updates is None else _steps(updates[:, :, tf.newaxis], time)
    noise_steps = None if gate_noise is None else _steps(gate_noise[:, :, tf.newaxis], time)

    def body(t: Tensor, state: FlatState, hs: tf.TensorArray, us: tf.TensorArray) -> tuple[object, ...]:
        u, state = stack_step(
            spec,
            parameters,
            xs.read(t),
            state,
            updates=None if update_steps is None else update_steps.read(t),
            gate_noise=None if noise_steps is None else noise_steps.read(t),
            real=None if real_at is None else real_at.read(t),
        )
        if every_step:
            hs = hs.write(t, state.layers[-1][-1])
        return t + 1, state, hs, us.write(t, u)

    _, state, hs, us = tf.while_loop(
        lambda t, *_: t < time,
        body,
        (
            tf.constant(0),
            state,
            tf.TensorArray(inputs.dtype, size=time if every_step else 0, element_shape=[batch, spec.units[-1]]),
            tf.TensorArray(inputs.dtype, size=time, element_shape=[batch, 1]),
        ),
        maximum_iterations=time,
    )
    h = tf.transpose(hs.stack(), [1, 0, 2]) if every_step else state.layers[-1][-1][:, tf.newaxis]
    return Unrolled(h, tf.transpose(us.stack(), [1, 0, 2]), state)


def _steps(tensor: Tensor, time: int | Tensor) -> tf.TensorArray:
    """The steps of `[batch, time, width]`, each `[batch, width]`."""
    steps = tf.TensorArray(tensor.dtype, size=time, clear_after_read=False)
    return steps.unstack(tf.transpose(tensor, [1, 0, 2]))
