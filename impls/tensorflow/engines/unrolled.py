"""What every engine returns, which steps are within a sequence, and sizes not known while a graph is traced."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.states import FlatState


class Unrolled(NamedTuple):
    """An unrolled cell: h `[batch, time or 1, units]` of the top layer, gates `[batch, time, 1]`, the final state."""

    h: Tensor
    gates: Tensor
    state: FlatState


def real_steps(lengths: Tensor, *, steps: int | Tensor) -> Tensor:
    """Whether each step is within its sequence, `[batch, time, 1]`, from `lengths` `[batch]`."""
    return (tf.range(steps, dtype=lengths.dtype) < lengths[:, tf.newaxis])[:, :, tf.newaxis]


def without_padding(inputs: Tensor, *, real: Tensor) -> Tensor:
    """The inputs with zeros where a step is not `real`: what stands there, NaN too, reaches nothing."""
    return tf.where(real, inputs, tf.zeros_like(inputs))


def static_or_dynamic_size(tensor: Tensor, axis: int) -> int | Tensor:
    """The size along an axis: an int where it is known while tracing, else a scalar tensor."""
    size = tf.compat.dimension_value(tensor.shape[axis])
    return tf.shape(tensor)[axis] if size is None else size
