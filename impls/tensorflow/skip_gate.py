"""The skip gate: how an update is decided, and how gradients pass through the decision."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor


def gate_dtype(dtype: tf.DType) -> tf.DType:
    """The type of Δũ and ũ beside parameters of this type: float32 at least.

    In bfloat16 a ũ of 0.25 would stay what it is when a small Δũ is added to it, and the gate would never fire again.
    """
    return dtype if dtype.size >= tf.float32.size else tf.float32


def accumulate(*, update_prob: Tensor, cum_update_prob: Tensor) -> Tensor:
    """Eq. 5: `ũ = stored ũ + min(Δũ, 1 − stored ũ)`; all `[batch, 1]`.

    Where both sides of the minimum are equal the gradient goes to Δũ whole: `tf.minimum` gives it to its first
    argument.
    """
    return cum_update_prob + tf.minimum(update_prob, 1.0 - cum_update_prob)


def straight_through(decision: Tensor, *, cumulative: Tensor) -> Tensor:
    """The value of `decision` with the gradient of `cumulative` (eq. 7), exact in floating point."""
    return tf.stop_gradient(decision) + (cumulative - tf.stop_gradient(cumulative))


def round_gate(cumulative: Tensor) -> Tensor:
    """Eq. 2: `u = round(ũ)`; half to even, so exactly 0.5 skips."""
    return straight_through(tf.round(cumulative), cumulative=cumulative)


def bernoulli_gate(cumulative: Tensor, *, gate_noise: Tensor) -> Tensor:
    """`u ~ Bernoulli(ũ)`: an update where the uniform `gate_noise` `[batch, 1]` falls below ũ."""
    return straight_through(tf.cast(gate_noise < cumulative, cumulative.dtype), cumulative=cumulative)


def update_probability(candidate: Tensor, *, weights: Tensor, biases: Tensor, precision: str = "float32") -> Tensor:
    """Eq. 4: `Δũ = σ(s W + b)`, from the candidate state `[batch, units]` to `[batch, 1]`, in float32 at least.

    Beside products of another `precision` this one is a sum, which no setting of the framework's rounds: a gate hangs
    on its last digit.
    """
    dtype = gate_dtype(candidate.dtype)
    wide, of_weights = tf.cast(candidate, dtype), tf.cast(weights, dtype)
    if precision == "float32":
        logit = wide @ of_weights
    else:
        logit = tf.reduce_sum(wide * of_weights[:, 0], axis=-1, keepdims=True)
    return tf.sigmoid(logit + tf.cast(biases, dtype))
