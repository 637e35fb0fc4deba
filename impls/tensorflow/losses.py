"""The losses: of the tasks, and of the budget."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import ModelSpec


def task_loss(kind: str, outputs: Tensor, targets: Tensor, *, mask: Tensor | None) -> Tensor:
    """The mean loss over sequences (and over real steps and outputs, where there are several); a scalar.

    Where no step is real it is 0, and has no gradient.

    Args:
        kind: `mean_squared_error`, `cross_entropy` or `binary_cross_entropy`.
        outputs: raw outputs, `[batch, outputs]` or `[batch, time, outputs]`.
        targets: as `Batch` says.
        mask: `[batch, time]`, 1 on real steps; read where outputs have a time axis.
    """
    if kind == "cross_entropy":
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs))
    if mask is not None and outputs.shape.rank == 3:
        targets = tf.where(mask[:, :, tf.newaxis] > 0, targets, 0.0)  # padding has no target, whatever stands there
    if kind == "mean_squared_error":
        each = (outputs - targets) ** 2
    else:
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=outputs)
    each = tf.reduce_mean(each, axis=-1)
    if mask is None or each.shape.rank == 1:
        return _total(each) / tf.cast(tf.size(each), each.dtype)
    return _total(each * mask) / tf.maximum(_total(mask), 1.0)


def budget_loss(spec: ModelSpec, updates: Tensor) -> Tensor:
    """What the updates cost: eq. 8, or an L1 or L2 penalty around a target; a scalar.

    Args:
        spec: the kind of budget, its cost λ and its target.
        updates: `[batch]`, the number of updates of each sequence.
    """
    if spec.budget == "l1":
        each = tf.abs(updates - spec.budget_target)
    elif spec.budget == "l2":
        each = (updates - spec.budget_target) ** 2
    else:
        each = updates
    return spec.budget_cost * tf.reduce_mean(each)


def _total(each: Tensor) -> Tensor:
    """The sum over `[batch]` or `[batch, time]`, by sequence first, in PyTorch's order."""
    return tf.reduce_sum(each if each.shape.rank == 1 else tf.reduce_sum(each, axis=1))
