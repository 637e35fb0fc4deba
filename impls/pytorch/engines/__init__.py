"""The time loop: a cell over `[batch, time, features]`, by one of the engines.

`reference` runs the equations step by step, `fast` is exact too, at the cost of the updates alone.
`native` is the framework's own layer, where its equations are the cell's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from impls.checks import check_kernels
from impls.contract import CellSpec
from impls.pytorch.engines.fast import unroll_fast
from impls.pytorch.engines.implementation import implementation_of
from impls.pytorch.engines.native import unroll_native
from impls.pytorch.engines.reference import unroll_reference
from impls.pytorch.engines.unrolled import Unrolled
from impls.pytorch.precision import own_precision
from impls.pytorch.random_skip import without_gradient
from impls.states import FlatState

__all__ = ["UNROLLS", "Unrolled", "implementation_of", "unroll"]

UNROLLS: dict[str, Callable[..., Unrolled]] = {
    "reference": unroll_reference,
    "fast": unroll_fast,
    "native": unroll_native,
}


def unroll(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    lengths: Tensor | None = None,
    every_step: bool = True,
    engine: str = "reference",
) -> Unrolled:
    """Runs the cell by the named engine; arguments and result as in `unroll_reference`.

    `torch.export` and `torch.jit.trace` always record the reference's operations, which compute the same: kernels
    cannot be exported.
    `torch.autocast` changes no type here. Raises `CellError` for a gradient that the engine does not have.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if torch.compiler.is_exporting() or tracing:
        engine = "reference"
    check_kernels(spec, engine=engine)
    if updates is not None:
        updates = without_gradient(updates)
    draws = {"updates": updates, "gate_noise": gate_noise}
    with own_precision(inputs):
        return UNROLLS[engine](spec, parameters, inputs, state, **draws, lengths=lengths, every_step=every_step)
