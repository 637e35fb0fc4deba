"""The time loop: a cell over `[batch, time, features]`, by one of the engines.

`reference` runs the equations step by step, `fast` is exact too, at the cost of the updates alone.
`native` is the framework's own layer, where its equations are the cell's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tensorflow import Tensor

from impls.checks import check_kernels
from impls.contract import CellSpec
from impls.states import FlatState
from impls.tensorflow.engines.fast import unroll_fast
from impls.tensorflow.engines.implementation import implementation_of
from impls.tensorflow.engines.native import unroll_native
from impls.tensorflow.engines.reference import unroll_reference
from impls.tensorflow.engines.unrolled import Unrolled
from impls.tensorflow.random_skip import tied, without_gradient

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

    A gradient of `updates` is refused with a `CellError`, or NaN in a traced function.
    """
    check_kernels(spec, engine=engine)
    given = None if updates is None else without_gradient(updates)
    unrolled = UNROLLS[engine](
        spec, parameters, inputs, state, updates=given, gate_noise=gate_noise, lengths=lengths, every_step=every_step
    )
    return unrolled if given is None else tied(unrolled, given)
