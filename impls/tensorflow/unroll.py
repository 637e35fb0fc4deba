"""The time loop: a cell over `[batch, time, features]`, by one of the engines.

`reference` runs the equations of `steps.py` step by step and leaves the gradient to TensorFlow; `fast` is told in
`fast.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.fast import unroll_fast
from impls.tensorflow.steps import stack_step
from impls.tensorflow.unrolled import Unrolled, static_or_dynamic_size


def initial_state(spec: CellSpec, parameters: Mapping[str, Tensor], *, batch: int | Tensor, like: Tensor) -> FlatState:
    """The learned rows repeated over the batch (or zeros of the type of `like`), Δũ = 1 and a stored ũ of 0."""
    names = ("initial_c", "initial_h") if spec.kind == "lstm" else ("initial_h",)
    layers = []
    for number, units in enumerate(spec.units):
        if spec.initial_state == "learned":
            rows = tuple(tf.broadcast_to(parameters[f"layers.{number}.{name}"], [batch, units]) for name in names)
        else:
            rows = tuple(tf.zeros([batch, units], like.dtype) for _ in names)
        layers.append(rows)
    gate = (tf.ones([batch, 1], like.dtype), tf.zeros([batch, 1], like.dtype)) if spec.skips else ()
    return FlatState(tuple(layers), gate)


def unroll_reference(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
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
        every_step: whether h is wanted at every step; else it is that of the last one, `[batch, 1, units]`.
    """
    batch, time = tf.compat.dimension_value(inputs.shape[0]), static_or_dynamic_size(inputs, 1)
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


UNROLLS: dict[str, Callable[..., Unrolled]] = {"reference": unroll_reference, "fast": unroll_fast}


def unroll(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    every_step: bool = True,
    engine: str = "reference",
) -> Unrolled:
    """Runs the cell by the named engine; arguments and result as in `unroll_reference`."""
    return UNROLLS[engine](
        spec, parameters, inputs, state, updates=updates, gate_noise=gate_noise, every_step=every_step
    )
