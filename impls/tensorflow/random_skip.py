"""The random skip's gate: data, of which no engine gives a gradient."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from impls.checks import GRADIENT_OF_UPDATES
from impls.errors import CellError


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def without_gradient(updates: Tensor) -> Tensor:
    """The gate as it is given; `CellError` where its gradient is asked for.

    A traced function's gradient is NaN: TensorFlow builds gradients there that nobody asked for.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def given(updates: Tensor) -> Any:
        def refuse(flow: Tensor) -> Tensor:
            if tf.executing_eagerly():
                raise CellError(GRADIENT_OF_UPDATES)
            return tf.fill(tf.shape(flow), tf.constant(float("nan"), flow.dtype))

        return tf.identity(updates), refuse

    return given(updates)


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def tied(unrolled: Any, updates: Tensor) -> Any:
    """What an engine returned, with a way for its gradient to `without_gradient`, where no engine leads."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def tie(updates: Tensor, *leaves: Tensor) -> Any:
        return [tf.identity(leaf) for leaf in leaves], lambda *flows: [tf.zeros_like(updates), *flows]

    return tf.nest.pack_sequence_as(unrolled, tie(updates, *tf.nest.flatten(unrolled)))
