"""What an unrolled cell returns, and the sizes that it may not know while it is traced."""

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


def static_or_dynamic_size(tensor: Tensor, axis: int) -> int | Tensor:
    """The size along an axis: an int where it is known while tracing, else a scalar tensor."""
    size = tf.compat.dimension_value(tensor.shape[axis])
    return tf.shape(tensor)[axis] if size is None else size
