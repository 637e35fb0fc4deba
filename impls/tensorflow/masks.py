"""Keras's masks of padded steps, as lengths."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from impls import checks
from impls.tensorflow.calls import with_checked_values


def lengths_of(mask: Any, *, inputs: Tensor) -> Tensor:
    """How many steps are within each sequence, `[batch]`, from a mask `[batch, time]` that is true at these.

    Raises `CellError` where a masked step stands before one that is not; where a graph is traced, it asserts that, and
    gives the sequence a length of -1, which no call takes.
    """
    mask = tf.cast(mask, tf.bool)
    checks.check_mask(checks.known_sizes(mask.shape), inputs=checks.known_sizes(inputs.shape))
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    right = mask[:, :-1] | ~mask[:, 1:]
    lengths = with_checked_values(lengths, right, message=checks.WRONG_MASK)
    return tf.where(tf.reduce_all(right, axis=1), lengths, -1)
