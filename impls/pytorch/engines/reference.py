"""The reference engine: the equations of `equations.py`, step by step; the gradient is the framework's own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.unrolled import Unrolled
from impls.pytorch.equations import stack_step
from impls.states import FlatState


def unroll_reference(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    every_step: bool = True,
) -> Unrolled:
    """Runs the cell one step after the other.

    Args:
        spec: the cell.
        parameters: canonical names to tensors.
        inputs: `[batch, time, features]`.
        state: the state before the first step.
        updates: `[batch, time]`, the random skip's gate, for plain cells.
        gate_noise: `[batch, time]`, for Bernoulli gates.
        every_step: whether h is wanted at every step; else it is that of the last one, `[batch, 1, units]`.
    """
    hs: list[Tensor] = []
    us: list[Tensor] = []
    for t in range(inputs.shape[1]):
        u, state = stack_step(
            spec,
            parameters,
            inputs[:, t],
            state,
            updates=None if updates is None else updates[:, t : t + 1],
            gate_noise=None if gate_noise is None else gate_noise[:, t : t + 1],
        )
        if every_step or t == inputs.shape[1] - 1:
            hs.append(state.layers[-1][-1])
        us.append(u)
    return Unrolled(torch.stack(hs, dim=1), torch.stack(us, dim=1), state)
