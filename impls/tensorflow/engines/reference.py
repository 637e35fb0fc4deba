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
    batch, time = static_or_dynamic_size(inputs, 0), static_or_dynamic_size(inputs, 1)
    real_at = None
    if lengths is not None:
        real = real_steps(lengths, steps=time)
        inputs = without_padding(inputs, real=real)
        real_at = _steps(real, time)
    # Arrays of steps, because the gradient of an indexed tensor is as long as the sequence at every step.
    xs = _steps(inputs, time)
    update_steps = None if updates is None else _steps(updates[:, :, tf.newaxis], time)
    noise_steps = None if gate_noise is None else _steps(gate_noise[:, :, tf.newaxis], time)
    of_h, of_u = ([batch, spec.units[-1]], [batch, 1])

    def body(t: Tensor, state: FlatState, hs: Tensor, us: Tensor) -> tuple[object, ...]:
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
            hs = tf.raw_ops.TensorListPushBack(input_handle=hs, tensor=state.layers[-1][-1])
        return t + 1, state, hs, tf.raw_ops.TensorListPushBack(input_handle=us, tensor=u)

    _, state, hs, us = tf.while_loop(
        lambda t, *_: t < time,
        body,
        (
            tf.constant(0),
            state,
            _empty_list(time if every_step else 0, shape=of_h, dtype=inputs.dtype),
            _empty_list(time, shape=of_u, dtype=inputs.dtype),
        ),
        maximum_iterations=time,
    )
    h = _joined(hs, time, shape=of_h, dtype=inputs.dtype) if every_step else state.layers[-1][-1][:, tf.newaxis]
    return Unrolled(h, _joined(us, time, shape=of_u, dtype=inputs.dtype), state)


def _steps(tensor: Tensor, time: int | Tensor) -> tf.TensorArray:
    """The steps of `[batch, time, width]`, each `[batch, width]`."""
    steps = tf.TensorArray(tensor.dtype, size=time, clear_after_read=False)
    return steps.unstack(tf.transpose(tensor, [1, 0, 2]))


def _empty_list(time: int | Tensor, *, shape: list[int | Tensor], dtype: tf.DType) -> Tensor:
    """A list for up to `time` steps of this shape, which the loop appends to.

    The gradient of appending takes the last step off the list. That of `TensorArray.write` clears the step in its
    place instead, for which XLA copies all steps at every step: a cost of T².
    """
    return tf.raw_ops.EmptyTensorList(element_shape=shape, max_num_elements=time, element_dtype=dtype)


def _joined(steps: Tensor, time: int | Tensor, *, shape: list[int | Tensor], dtype: tf.DType) -> Tensor:
    """The listed steps as `[batch, time, width]`."""
    listed = tf.raw_ops.TensorListStack(input_handle=steps, element_shape=shape, element_dtype=dtype)
    sizes = [size if isinstance(size, int) else None for size in (time, *shape)]
    return tf.transpose(tf.ensure_shape(listed, sizes), [1, 0, 2])
