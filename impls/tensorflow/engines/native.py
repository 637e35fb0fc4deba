"""The native engine: Keras's own layers, what a user would pick for a plain cell, on canonical parameters.

The layers read parameters in a layout of their own, which these are put into at every call. On a GPU the LSTM is
cuDNN's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from impls.checks import check_native
from impls.contract import CellSpec
from impls.parameters import layer_input_sizes
from impls.states import FlatState
from impls.tensorflow.engines.unrolled import Unrolled, real_steps, static_or_dynamic_size, without_padding
from impls.tensorflow.equations import LayerState, layer_parameters


def unroll_native(
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
    """Runs the framework's layers; arguments and result as those of `unroll_reference`.

    Where the parameters lie on a GPU, an LSTM is cuDNN's or an error. Raises `CellError` for a cell that the layers do
    not compute.
    """
    check_native(spec, framework="tensorflow", skips_given=updates is not None)
    steps = static_or_dynamic_size(inputs, 1)
    real = mask = None
    if lengths is not None:
        real = real_steps(lengths, steps=steps)
        inputs = without_padding(inputs, real=real)
        # A sequence without a step runs one, which is not taken.
        mask = real_steps(tf.maximum(lengths, 1), steps=steps)[:, :, 0]
    on_gpu = "GPU" in getattr(next(iter(parameters.values())), "device", "")
    below = inputs
    layers: list[LayerState] = []
    top = len(spec.units) - 1
    for number, (size, units, start) in enumerate(zip(layer_input_sizes(spec), spec.units, state.layers, strict=True)):
        layer = _built(
            spec.kind.name,
            size,
            units,
            dtype=inputs.dtype.name,
            every_step=every_step or number < top,
            use_cudnn=on_gpu and spec.kind.name == "lstm",
        )
        given = layer_parameters(parameters, number)
        weights = _lstm_weights(spec, given) if spec.kind.name == "lstm" else _gru_weights(given)
        rest = [variable.value for variable in layer.non_trainable_variables]
        (below, *last), _ = layer.stateless_call(weights, rest, below, initial_state=list(start[::-1]), mask=mask)
        layers.append(tuple(last[::-1]))
    gates = tf.ones_like(inputs[:, :, :1])
    if lengths is not None:
        started = (lengths > 0)[:, tf.newaxis]
        layers = tf.nest.map_structure(lambda new, old: tf.where(started, new, old), layers, list(state.layers))
        gates = tf.cast(real, inputs.dtype)
    h = last = layers[-1][-1][:, tf.newaxis]
    if every_step:
        h = below if real is None else tf.where(real, below, last)
    return Unrolled(h, gates, FlatState(tuple(layers), ()))


@functools.cache
def _built(kind: str, input_size: int, units: int, *, dtype: str, every_step: bool, use_cudnn: bool) -> Any:
    """A layer of Keras for its computation alone; its own weights are never read."""
    options: dict[str, Any] = {"return_sequences": every_step, "return_state": True, "dtype": dtype}
    with tf.init_scope():
        if kind == "lstm":
            layer = keras.layers.LSTM(units, use_cudnn=use_cudnn, **options)
        else:
            layer = keras.layers.GRU(units, reset_after=False, use_cudnn=False, **options)
        layer.build((None, None, input_size))
    return layer


def _lstm_weights(spec: CellSpec, layer: Mapping[str, Tensor]) -> list[Tensor]:
    """Of x, of h, and biases, by gate i, f, j, o; the forget bias is added to a bias: Keras has none of its own."""
    units = layer["biases"].shape[0] // 4
    i, j, f, o = tf.split(tf.convert_to_tensor(layer["weights"]), 4, axis=1)
    weights = tf.concat([i, f, j, o], axis=1)
    i, j, f, o = tf.split(tf.convert_to_tensor(layer["biases"]), 4)
    return [weights[:-units], weights[-units:], tf.concat([i, f + spec.forget_bias, j, o], axis=0)]


def _gru_weights(layer: Mapping[str, Tensor]) -> list[Tensor]:
    """Of x, of h, and biases, by gate z, r and the candidate."""
    units = layer["candidate_biases"].shape[0]
    r, z = tf.split(tf.convert_to_tensor(layer["gate_weights"]), 2, axis=1)
    weights = tf.concat([z, r, layer["candidate_weights"]], axis=1)
    r, z = tf.split(tf.convert_to_tensor(layer["gate_biases"]), 2)
    return [weights[:-units], weights[-units:], tf.concat([z, r, layer["candidate_biases"]], axis=0)]
