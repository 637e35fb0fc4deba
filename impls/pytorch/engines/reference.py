"""The reference engine: the equations of `equations.py`, step by step; the gradient is the framework's own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.unrolled import Unrolled, real_steps, without_padding
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
    lengths: Tensor | None = None,
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
        lengths: `[batch]` whole numbers from 0 to time: a sequence's steps beyond its length leave its state as it is,
            have a gate of 0, and are not read; None where all have every step.
        every_step: whether h is wanted at every step; else it is that of the last one, `[batch, 1, units]`.
    """
    real = None if lengths is None else real_steps(lengths, steps=inputs.shape[1])
    if real is not None:
        inputs = without_padding(inputs, real=real)
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
            real=None if real is None else real[:, t],
        )
        if every_step or t == inputs.shape[1] - 1:
            hs.append(state.layers[-1][-1])
        us.append(u)
    return Unrolled(torch.stack(hs, dim=1), torch.stack(us, dim=1), state)
