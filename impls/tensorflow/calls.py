"""What a cell or layer is called with: checked, and the state that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import Tensor

from impls import checks, states
from impls.contract import CellSpec
from impls.errors import CellError
from impls.states import FlatState
from impls.tensorflow.engines.rounds.loops import compiled_by_caller
from impls.tensorflow.engines.unrolled import static_or_dynamic_size
from impls.tensorflow.equations import initial_state
from impls.tensorflow.skip_gate import gate_dtype


class Call(NamedTuple):
    """A checked call; the fields are those of `checked_call`, with the state in its flat form.

    `wrong` is a truth that XLA leaves to be told by the results, since it drops assertions; None where none is left.
    """

    inputs: Tensor
    state: FlatState
    updates: Tensor | None
    gate_noise: Tensor | None
    lengths: Tensor | None
    wrong: Tensor | None = None

    def answered(self, results: Any) -> Any:
        """The results, all NaN where the call is wrong."""
        if self.wrong is None:
            return results
        return tf.nest.map_structure(
            lambda leaf: tf.where(self.wrong, tf.constant(float("nan"), leaf.dtype), leaf), results
        )


def checked_call(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Any,
    state: Any,
    *,
    stacked: bool,
    time: bool,
    updates: Any,
    gate_noise: Any,
    lengths: Any = None,
) -> Call:
    """Raises `CellError` for a call that the cell cannot answer.

    Args:
        spec: the cell.
        parameters: canonical names to tensors.
        inputs: `[batch, time, features]`, or `[batch, features]` of one step.
        state: the public state; None starts from the cell's own initial state.
        stacked: whether the public state is a stack's.
        time: whether `inputs` has a time axis.
        updates: `[batch, time]`, or `[batch, 1]` of one step, in {0, 1}; None where there is no random skip.
        gate_noise: of the same shape; None is drawn where the cell reads noise.
        lengths: `[batch]` whole numbers from 0 to time; None where all sequences have every step.
    """
    inputs, updates, gate_noise, lengths = (
        _tensor("inputs", inputs),
        _tensor("updates", updates),
        _tensor("gate_noise", gate_noise),
        _tensor("lengths", lengths),
    )
    kind = next(iter(parameters.values())).dtype
    dtype, shape = checks.dtype_name(inputs.dtype), checks.known_sizes(inputs.shape)
    checks.check_inputs(spec, shape, dtype=dtype, parameters_dtype=checks.dtype_name(kind), time=time)
    checks.check_draws(
        spec,
        (shape[0], shape[1] if time else 1),
        updates=None if updates is None else checks.known_sizes(updates.shape),
        gate_noise=None if gate_noise is None else checks.known_sizes(gate_noise.shape),
    )
    batch, steps = static_or_dynamic_size(inputs, 0), static_or_dynamic_size(inputs, 1) if time else 1
    checked: list[Tensor] = []
    if updates is not None:
        exact = tf.cast(updates, tf.float64)  # truths are updates too
        checked.append((exact == 0) | (exact == 1))
        updates = with_checked_values(updates, checked[-1], message=checks.WRONG_UPDATES)
        updates = tf.cast(updates, inputs.dtype)
    if gate_noise is not None:
        gate_noise = tf.cast(gate_noise, gate_dtype(inputs.dtype))
    elif checks.draws_noise(spec):
        gate_noise = tf.random.uniform([batch, steps], dtype=gate_dtype(inputs.dtype))
    if lengths is not None:
        checks.check_lengths(checks.known_sizes(lengths.shape), dtype=checks.dtype_name(lengths.dtype), batch=shape[0])
        lengths = tf.cast(lengths, tf.int64)
        checked.append((lengths >= 0) & (lengths <= tf.cast(steps, tf.int64)))
        message = checks.wrong_lengths("the number of steps" if shape[1] is None else shape[1])
        lengths = with_checked_values(lengths, checked[-1], message=message)
        lengths = tf.cast(tf.clip_by_value(lengths, 0, tf.cast(steps, tf.int64)), tf.int32)
    if state is None:
        flat = initial_state(spec, parameters, batch=batch, like=inputs)
    else:
        given = states.unpack_state(spec, state, stacked=stacked)
        flat = FlatState(
            tuple(tuple(_tensor("state", leaf) for leaf in layer) for layer in given.layers),
            tuple(_tensor("state", leaf) for leaf in given.gate),
        )
        states.check_state(spec, flat, batch=shape[0], dtype=dtype)
    wrong = ~tf.reduce_all(tf.concat([tf.reshape(right, [-1]) for right in checked], axis=0)) if checked else None
    return Call(inputs, flat, updates, gate_noise, lengths, wrong if compiled_by_caller() else None)


def with_checked_values(value: Tensor, right: Tensor, *, message: str) -> Tensor:
    """The value; `CellError` unless all that is `right` is true. Where a graph is traced, it asserts that.

    XLA drops assertions: what it compiles is told by its results (`Call.answered`).
    """
    if not tf.executing_eagerly():
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [message])]):
            return tf.identity(value)
    if not tf.reduce_all(right):
        raise CellError(message)
    return value


def _tensor(name: str, value: Any) -> Any:
    """The value as a tensor, or None; `CellError` where it cannot be one."""
    try:
        return None if value is None else tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise CellError(f"{name} must be a tensor, got {type(value).__name__}") from error
