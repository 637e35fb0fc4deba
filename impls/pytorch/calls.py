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
) -> Call:
    """Raises `CellError` for a call that the cell cannot answer.

    Args:
        spec: the cell.
        parameters: canonical names to tensors.
        inputs: `[batch, time, features]`, or `[batch, features]` of one step.
        state: the public state; None starts from the cell's own initial state.
        stacked: whether the public state is a stack's.
        time: whether `inputs` has a time axis.
        updates, gate_noise: `[batch, time]`, or `[batch, 1]` of one step; None where the cell reads none.
    """
    inputs, updates, gate_noise = (
        _tensor("inputs", inputs),
        _tensor("updates", updates),
        _tensor("gate_noise", gate_noise),
    )
    kind = next(iter(parameters.values())).dtype
    if inputs.is_floating_point() and _autocasts(inputs.device.type):
        inputs = inputs.to(kind)
    dtype, shape = checks.dtype_name(inputs.dtype), tuple(inputs.shape)
    checks.check_inputs(spec, shape, dtype=dtype, parameters_dtype=checks.dtype_name(kind), time=time)
    checks.check_draws(
        spec,
        (shape[0], shape[1] if time else 1),
        updates=None if updates is None else updates.shape,
        gate_noise=None if gate_noise is None else gate_noise.shape,
    )
    if updates is not None:
        updates = updates.to(inputs.dtype)
    if gate_noise is not None:
        gate_noise = gate_noise.to(inputs.dtype)
    if state is None:
        return Call(inputs, initial_state(spec, parameters, batch=inputs.shape[0], like=inputs), updates, gate_noise)
    given = states.unpack_state(spec, state, stacked=stacked)
    flat = FlatState(
        tuple(tuple(_tensor("state", leaf) for leaf in layer) for layer in given.layers),
        tuple(_tensor("state", leaf) for leaf in given.gate),
    )
    states.check_state(spec, flat, batch=shape[0], dtype=dtype)
    return Call(inputs, flat, updates, gate_noise)


def _autocasts(device: str) -> bool:
    """Whether `torch.autocast` chooses the types of operators there, so that inputs may be of any."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _tensor(name: str, value: Any) -> Any:
    """The value as a tensor, or None; `CellError` where it cannot be one."""
    if value is not None and not isinstance(value, Tensor):
        raise CellError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    return value
