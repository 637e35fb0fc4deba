"""When each sequence updates next: the gate's recursion run ahead, from one update straight to the following one.

After an update the gate reads nothing but Δũ until it fires again (eq. 6), so the time of the next update is
known at once. The recursion is repeated in floating point as the reference runs it, not in closed form, so the
times are the same integers. All tensors here are `[batch]`; a time equal to the number of steps means "no more".
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.tensorflow import skip_gate
from impls.tensorflow.engines.rounds.positions import Sequences, at_times


def decision_of(spec: CellSpec, *, updates: Tensor | None) -> str:
    """What decides the updates of a cell: `round`, `bernoulli`, `scheduled` (`updates`, a random skip) or `always`."""
    if spec.skips:
        return spec.gate
    return "always" if updates is None else "scheduled"


def unreadable(*, update_prob: Tensor, cum_update_prob: Tensor) -> Tensor:
    """Whether a gate that reads these is NaN."""
    return tf.math.is_nan(update_prob) | tf.math.is_nan(cum_update_prob)


def next_update(
    sequences: Sequences, *, decision: str, update_prob: Tensor, cum_update_prob: Tensor, time: Tensor
) -> tuple[Tensor, Tensor]:
    """The first update after `time`, and the ũ that is stored just before it (or at the end, where none is left).

    A gate that reads NaN counts as an update, from which `forward_rounds` lets NaN spread; none follows it.

    Args:
        sequences: whose draws and lengths are read.
        decision: see `decision_of`.
        update_prob, cum_update_prob: Δũ and the stored ũ after step `time`.
        time: −1 before the first step.
    """
    steps = tf.shape(sequences.inputs)[0]
    ends = steps if sequences.lengths is None else sequences.lengths

    def within(time: Tensor) -> Tensor:
        return time if sequences.lengths is None else tf.where(time < ends, time, steps)

    following = tf.minimum(time + 1, steps)
    if decision == "always":
        return within(following), cum_update_prob
    searching = following < ends
    if decision != "scheduled":
        following = tf.where(tf.math.is_nan(cum_update_prob) & (time >= 0), steps, following)
        nothing = unreadable(update_prob=update_prob, cum_update_prob=cum_update_prob)
        searching = (following < ends) & ~nothing

    def searches(_time: Tensor, _stored: Tensor, searching: Tensor) -> Tensor:
        return tf.reduce_any(searching)

    def body(time: Tensor, stored: Tensor, searching: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cumulative = stored
        if decision == "scheduled":
            fires = at_times(sequences.draws, tf.minimum(time, steps - 1)) > 0.5
        else:
            cumulative = skip_gate.accumulate(update_prob=update_prob, cum_update_prob=stored)
            if decision == "round":
                fires = tf.round(cumulative) > 0.5
            else:
                fires = at_times(sequences.draws, tf.minimum(time, steps - 1)) < cumulative
        skips = searching & ~fires
        time = tf.where(skips, time + 1, time)
        return time, tf.where(skips, cumulative, stored), skips & (time < ends)

    time, stored, _ = tf.while_loop(searches, body, (following, cum_update_prob, searching))
    return within(time), stored


def latest_update(times: Tensor, *, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Which update each step belongs to.

    Args:
        times: `[updates, batch]`, ascending along updates; `steps` where there is no more.
        steps: number of time steps.

    Returns:
        How many of the times are ≤ t, and whether t is one of them; both `[batch, steps]`.
    """
    most, batch = tf.shape(times)[0], tf.shape(times)[1]
    flat, sequence = tf.reshape(times, [-1]), tf.range(batch)

    def body(t: Tensor, count: Tensor, counts: tf.TensorArray, gates: tf.TensorArray) -> tuple[object, ...]:
        fires = tf.gather(flat, tf.minimum(count, most - 1) * batch + sequence) == t
        count += tf.cast(fires, tf.int32)
        return t + 1, count, counts.write(t, count), gates.write(t, fires)

    counts = tf.TensorArray(tf.int32, size=steps, element_shape=times.shape[1:])
    gates = tf.TensorArray(tf.bool, size=steps, element_shape=times.shape[1:])
    start = tf.constant(0), tf.zeros_like(sequence), counts, gates
    _, _, counts, gates = tf.while_loop(lambda t, *_: t < steps, body, start)
    return tf.transpose(counts.stack()), tf.transpose(gates.stack())
