"""What a cell or layer is called with: checked, and the state that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import _register_namedtuple

from impls import checks, states
from impls.contract import CellSpec
from impls.errors import CellError
from impls.kinds import LSTMState, SkipGRUState, SkipLSTMState
from impls.pytorch.equations import initial_state
from impls.pytorch.precision import autocasts
from impls.pytorch.skip_gate import gate_dtype
from impls.pytorch.transforms import with_values
from impls.states import FlatState, Outputs

# What `torch.export.save` needs to write the structures of outputs and states.
for structure in (Outputs, LSTMState, SkipLSTMState, SkipGRUState):
    _register_namedtuple(structure, serialized_type_name=f"{structure.__module__}.{structure.__name__}")


class Call(NamedTuple):
    """A checked call; the fields are those of `checked_call`, with the state in its flat form."""

    inputs: Tensor
    state: FlatState
    updates: Tensor | None
    gate_noise: Tensor | None
    lengths: Tensor | None


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
    kind = _one_type(parameters)
    autocast = autocasts(inputs)
    if inputs.is_floating_point() and autocast:
        inputs = inputs.to(kind)
    dtype, shape = checks.dtype_name(inputs.dtype), tuple(inputs.shape)
    checks.check_inputs(spec, shape, dtype=dtype, parameters_dtype=checks.dtype_name(kind), time=time)
    steps = (shape[0], shape[1] if time else 1)
    checks.check_draws(
        spec,
        steps,
        updates=None if updates is None else updates.shape,
        gate_noise=None if gate_noise is None else gate_noise.shape,
    )
    if updates is not None:
        updates = with_checked_values(updates, (updates == 0) | (updates == 1), message=checks.WRONG_UPDATES)
        updates = updates.to(inputs.dtype)
    if gate_noise is not None:
        gate_noise = gate_noise.to(gate_dtype(inputs.dtype))
    elif checks.draws_noise(spec):
        gate_noise = torch.rand(steps, dtype=gate_dtype(inputs.dtype), device=inputs.device)
    if lengths is not None:
        checks.check_lengths(lengths.shape, dtype=checks.dtype_name(lengths.dtype), batch=shape[0])
        lengths = lengths.to(torch.int64)  # narrow types cannot be compared, or hold the number of steps
        right = (lengths >= 0) & (lengths <= shape[1])
        lengths = with_checked_values(lengths, right, message=checks.wrong_lengths(shape[1]))
        lengths = lengths.to(inputs.device)
    if state is None:
        flat = initial_state(spec, parameters, batch=inputs.shape[0], like=inputs)
    else:
        given = states.unpack_state(spec, state, stacked=stacked)
        flat = FlatState(
            tuple(tuple(_tensor("state", leaf) for leaf in layer) for layer in given.layers),
            tuple(_tensor("state", leaf) for leaf in given.gate),
        )
        if autocast:  # what came from an operator there has that operator's type
            flat = FlatState(
                tuple(tuple(_as_floating(leaf, kind) for leaf in layer) for layer in flat.layers),
                tuple(_as_floating(leaf, gate_dtype(kind)) for leaf in flat.gate),
            )
        states.check_state(spec, flat, batch=shape[0], dtype=dtype)
    return Call(inputs, flat, updates, gate_noise, lengths)


def with_checked_values(value: Tensor, right: Tensor, *, message: str) -> Tensor:
    """The value; `CellError` unless all that is `right` is true. Where a graph is traced, it asserts that."""
    if torch.compiler.is_compiling():
        torch._assert_async(right.all(), message)
        return value
    right = with_values(right)
    if right.device.type != "meta" and not right.all():
        raise CellError(message)
    return value


def _one_type(parameters: Mapping[str, Tensor]) -> torch.dtype:
    """The type of all parameters; `CellError` where one has another."""
    (first, value), *others = parameters.items()
    for name, other in others:
        if other.dtype != value.dtype:
            found, wanted = checks.dtype_name(other.dtype), checks.dtype_name(value.dtype)
            raise CellError(f"parameter {name!r} is {found} where {first!r} is {wanted}: convert one of them")
    return value.dtype


def _as_floating(leaf: Tensor, kind: torch.dtype) -> Tensor:
    """The tensor in this type, unless it is of whole numbers, which a state has not."""
    return leaf.to(kind) if leaf.is_floating_point() else leaf


def _tensor(name: str, value: Any) -> Any:
    """The value as a tensor, or None; `CellError` where it cannot be one."""
    if value is not None and not isinstance(value, Tensor):
        raise CellError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    return value
