"""The time loop: a cell over `[batch, time, features]`, by one of the engines.

`reference` runs the equations of `steps.py` step by step and leaves the gradient to autograd; `fast` (`fast.py`) is
exact too, at the cost of the updates alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.fast import unroll_fast
from impls.pytorch.steps import stack_step
from impls.pytorch.unrolled import Unrolled
from impls.states import FlatState


def initial_state(spec: CellSpec, parameters: Mapping[str, Tensor], *, batch: int, like: Tensor) -> FlatState:
    """The learned rows repeated over the batch (or zeros of the type of `like`), Δũ = 1 and a stored ũ of 0."""
    names = ("initial_c", "initial_h") if spec.kind == "lstm" else ("initial_h",)
    layers = []
    for number, units in enumerate(spec.units):
        if spec.initial_state == "learned":
            rows = tuple(parameters[f"layers.{number}.{name}"].expand(batch, units) for name in names)
        else:
            rows = tuple(like.new_zeros(batch, units) for _ in names)
        layers.append(rows)
    gate = (like.new_ones(batch, 1), like.new_zeros(batch, 1)) if spec.skips else ()
    return FlatState(tuple(layers), gate)


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


UNROLLS: dict[str, Callable[..., Unrolled]] = {"reference": unroll_reference, "fast": unroll_fast}


def unroll(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    every_step: bool = True,
    engine: str = "reference",
) -> Unrolled:
    """Runs the cell by the named engine; arguments and result as in `unroll_reference`.

    `torch.export` always records the reference's operations, which compute the same: kernels cannot be exported.
    """
    if torch.compiler.is_exporting():
        engine = "reference"
    return UNROLLS[engine](
        spec, parameters, inputs, state, updates=updates, gate_noise=gate_noise, every_step=every_step
    )
