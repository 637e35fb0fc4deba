"""What rounds read and pass on: sequences, where each stands, what is kept for the gradient, and the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.adjoints import Parts
from impls.tensorflow.equations import LayerState
from impls.tensorflow.skip_gate import gate_dtype

Parameters = Mapping[str, Tensor]
Layers = tuple[LayerState, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the compiled blocks depend on, but for shapes.

    Attributes:
        spec: the cell.
        decision: what decides an update (`jumps.decision_of`).
        keep: whether a gradient will be asked for.
        every_step: whether h is wanted at every step.
        whole: whether all rounds are one block, inside a function that its caller compiles.
    """

    spec: CellSpec
    decision: str
    keep: bool
    every_step: bool
    whole: bool


class Sequences(NamedTuple):
    """What every step may read: inputs `[time, batch, features]`; draws `[time, batch]`, lengths `[batch]`, or None.

    The draws are a random skip's updates or the noise of Bernoulli gates.
    """

    inputs: Tensor
    draws: Tensor | None
    lengths: Tensor | None


class Position(NamedTuple):
    """Where each sequence stands between two rounds; every leaf but `layers` is `[batch]`.

    `time` is the next update's (the number of steps where none is left); the state is that of the step before it.
    `cum_update_prob` is what was stored just before that update.
    """

    time: Tensor
    layers: Layers
    update_prob: Tensor
    cum_update_prob: Tensor


class Kept(NamedTuple):
    """What rounds leave to the adjoint: leaves of one axis more in front.

    `position` is before the first round and after every one; `records` (`candidates.record`) are of every round, one a
    layer. Where these are recurrent parts there is one more, of the state after the last round.
    """

    position: Position
    records: tuple[Parts, ...]


class Cotangents(NamedTuple):
    """Gradients of the loss by outputs: h `[time, batch, units]` or () where there is none, gates `[time, batch]`.

    `skipped` are h's, summed from a skipped step to the end of its run of skips (`skips.sums_over_skips`), or ().
    """

    h: Any
    skipped: Any
    gates: Tensor


class Adjoint(NamedTuple):
    """Gradients of the loss by the state: that of `Position` without the time."""

    layers: Layers
    update_prob: Tensor
    cum_update_prob: Tensor


def kept_leaves(program: Program, *, rounds: int | None, batch: int | None, dtype: tf.DType) -> Kept:
    """What `forward_rounds` keeps, with a `TensorSpec` for every leaf."""
    spec = program.spec

    def leaf(*widths: int, dtype: tf.DType = dtype) -> tf.TensorSpec:
        return tf.TensorSpec([None if rounds is None else rounds + 1, batch, *widths], dtype)

    time = leaf(dtype=tf.int32)
    if not program.keep:
        layers = ((leaf(spec.units[-1]),),) if program.every_step else ()
        return Kept(Position(time, layers, (), ()), ())
    states = tuple((leaf(units),) * len(spec.kind.state) for units in spec.units)
    records = tuple((leaf(units),) * len(spec.kind.gates) for units in spec.units)
    scalar = leaf(dtype=gate_dtype(dtype))
    return Kept(Position(time, states, scalar, scalar), records)


def gate_scalars(spec: CellSpec, state: FlatState, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """The gate's Δũ and stored ũ, each `[batch]`; of plain cells 1 and 0, which nothing reads."""
    if spec.skips:
        return state.gate[0][:, 0], state.gate[1][:, 0]
    size, dtype = tf.shape(like)[1:2], gate_dtype(like.dtype)
    scalars = tf.ones(size, dtype), tf.zeros(size, dtype)
    for scalar in scalars:
        scalar.set_shape(like.shape[1:2])
    return scalars


def select(mask: Tensor, new: Layers, old: Layers) -> Layers:
    """`new` where the mask `[batch]` holds, else `old`."""
    chosen: Layers = tf.nest.map_structure(lambda a, b: tf.where(mask[:, tf.newaxis], a, b), new, old)
    return chosen


def at_times(sequences: Tensor, times: Tensor) -> Tensor:
    """Step `times[…, b]` of each sequence b: of `[time, batch, …]` and `[…, batch]`.

    Time comes first because sequences stand at similar times: what one reads lies near what the others do.
    """
    batch = tf.shape(sequences)[1]
    return tf.gather(tf.reshape(sequences, [-1, *sequences.shape[2:]]), times * batch + tf.range(batch))
