"""The fast engine: an exact unroll whose cost follows the updates, with a gradient written by hand.

`docs/engines.md` derives the algorithm. Tensors in the CPU's memory go through the compiled kernels of
`kernels/` where they multiply in their own type, those on a CUDA device through those of `tiles/`, all else through the
operations of `operations.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from impls.checks import dtype_name
from impls.contract import CellSpec
from impls.pytorch.engines.implementation import implementation_of
from impls.pytorch.engines.kernels.function import KernelUnroll
from impls.pytorch.engines.operations import OperationsUnroll
from impls.pytorch.engines.unrolled import Unrolled
from impls.pytorch.transforms import refuse_transforms
from impls.states import FlatState

_FUNCTIONS = {"kernels": KernelUnroll, "operations": OperationsUnroll}


def unroll_fast(
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
    """Jumps from update to update; arguments and result as those of `unroll_reference`.

    `updates` and `gate_noise` are constants to the gradient, which cannot itself be differentiated.
    """
    implementation = implementation_of(
        "fast", device=str(inputs.device), dtype=dtype_name(inputs.dtype), precision=spec.precision
    )
    options = {"updates": updates, "gate_noise": gate_noise, "lengths": lengths}
    if implementation == "tiles":
        if not torch.compiler.is_compiling():
            refuse_transforms(_given(parameters, inputs, state, options))
        # Not above: Triton is not on every machine, and takes a second to import.
        from impls.pytorch.engines.tiles.unroll import unroll_tiles

        return unroll_tiles(spec, parameters, inputs, state, **options, every_step=every_step)
    result: Unrolled = _unroll_beside_graphs(
        implementation, spec, parameters, inputs, state, **options, every_step=every_step
    )
    return result


@torch.compiler.disable(reason="the fast engine is compiled already")  # type: ignore[no-untyped-call, untyped-decorator]
def _unroll_beside_graphs(
    implementation: str,
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None,
    gate_noise: Tensor | None,
    lengths: Tensor | None,
    every_step: bool,
) -> Unrolled:
    """By an implementation that is no operator, at which `torch.compile` breaks its graph."""
    options = {"updates": updates, "gate_noise": gate_noise, "lengths": lengths}
    refuse_transforms(_given(parameters, inputs, state, options))
    names = [name for name in parameters if name.startswith(("layers.", "update_gate.")) and ".initial_" not in name]
    tensors = [parameters[name] for name in names]
    leaves = [leaf for layer in state.layers for leaf in layer]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, *leaves, *state.gate, *tensors))
    draws = gate_noise if spec.skips else updates
    h, gates, *last = _FUNCTIONS[implementation].apply(  # type: ignore[no-untyped-call]
        spec, draws, lengths, keep, every_step, names, inputs, *leaves, *state.gate, *tensors
    )
    width = len(state.layers[0])
    layers = tuple(tuple(last[at : at + width]) for at in range(0, len(leaves), width))
    if not every_step:  # the final state is the last step, without a gradient as long as the sequence
        h = layers[-1][-1].unsqueeze(1).clone()  # what is done to it in place is not done to the state
    return Unrolled(h, gates, FlatState(layers, tuple(last[len(leaves) :])))


def _given(
    parameters: Mapping[str, Tensor], inputs: Tensor, state: FlatState, options: Mapping[str, Tensor | None]
) -> tuple[Tensor, ...]:
    """All tensors that a transform may reach: what a gradient may be asked of, draws and lengths."""
    leaves = (leaf for layer in state.layers for leaf in layer)
    return (inputs, *parameters.values(), *leaves, *state.gate, *(one for one in options.values() if one is not None))
