"""When each sequence updates next: the gate's recursion run ahead, from one update straight to the following one.

After an update the gate reads nothing but Δũ until it fires again (eq. 6), so the time of the next update is
known at once. The recursion is repeated in floating point as the reference runs it, not in closed form, so the
times are the same integers. All tensors here are `[batch]`; a time equal to the length means "no more".
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow import gates


def gate_source(spec: CellSpec, *, updates: Tensor | None) -> str:
    """What decides the updates of a cell: `round`, `bernoulli`, `given` (random skips) or `always`."""
    if spec.skips:
        return spec.gate
    return "always" if updates is None else "given"


def at_times(sequences: Tensor, times: Tensor) -> Tensor:
    """Row `times[b]` of each sequence: `[batch, time, …]` to `[batch, …]`."""
    return tf.gather(sequences, times, axis=1, batch_dims=1)


def next_update(
    *,
    source: str,
    update_prob: Tensor,
    cum_update_prob: Tensor,
    time: Tensor,
    length: Tensor,
    draws: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The first update after `time`, and the ũ that is stored just before it (or at the end, where none is left).

    Args:
        source: see `gate_source`.
        update_prob, cum_update_prob: Δũ and the stored ũ after step `time`.
        time: −1 before the first step.
        length: number of time steps.
        draws: `[batch, time]`, the given updates or the noise of Bernoulli gates.
    """
    following = tf.minimum(time + 1, length)
    if source == "always":
        return following, cum_update_prob

    def searches(_time: Tensor, _stored: Tensor, searching: Tensor) -> Tensor:
        return tf.reduce_any(searching)

    def body(time: Tensor, stored: Tensor, searching: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cumulative = stored
        if source == "given":
            fires = at_times(draws, tf.minimum(time, length - 1)) > 0.5
        else:
            cumulative = gates.accumulate(update_prob=update_prob, cum_update_prob=stored)
            if source == "round":
                fires = tf.round(cumulative) > 0.5
            else:
                fires = at_times(draws, tf.minimum(time, length - 1)) < cumulative
        skips = searching & ~fires
        time = tf.where(skips, time + 1, time)
        return time, tf.where(skips, cumulative, stored), skips & (time < length)

    time, stored, _ = tf.while_loop(searches, body, (following, cum_update_prob, following < length))
    return time, stored


def latest_update(times: Tensor, *, length: Tensor) -> Tensor:
    """How many of the sorted `times` `[batch, updates]` are ≤ t, for every t: `[batch, length]`, by bisection."""
    batch, most = tf.shape(times)[0], tf.shape(times)[1]
    steps = tf.broadcast_to(tf.range(length), [batch, length])
    low, high = tf.zeros_like(steps), tf.fill([batch, length], most)

    def body(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        middle = (low + high) // 2
        found = tf.gather(times, tf.minimum(middle, most - 1), axis=1, batch_dims=1) <= steps
        going = low < high
        return tf.where(going & found, middle + 1, low), tf.where(going & ~found, middle, high)

    low, _ = tf.while_loop(lambda low, high: tf.reduce_any(low < high), body, (low, high))
    return low
