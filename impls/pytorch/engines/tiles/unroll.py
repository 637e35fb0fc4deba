"""An unroll by the operator: a cell's tensors in the order that it takes them, and its results by what they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.tiles import operator
from impls.pytorch.engines.tiles.packing import names_of
from impls.pytorch.engines.unrolled import Unrolled
from impls.states import FlatState


def unroll_tiles(
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
    """Runs the kernels; arguments and result as those of `reference.unroll_reference`."""
    leaves = [leaf for layer in state.layers for leaf in layer]
    tensors = [*leaves, *state.gate, *(parameters[name] for name in names_of(spec))]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (inputs, *tensors))
    draws = gate_noise if spec.skips else updates
    h, gates, *rest = operator.unroll(inputs, lengths, draws, tensors, keep, every_step, *operator.options_of(spec))
    width, count = len(spec.kind.state), len(leaves)
    layers = tuple(tuple(rest[at : at + width]) for at in range(0, count, width))
    if not every_step:  # the final state is the last step, without a gradient as long as the sequence
        h = layers[-1][-1].unsqueeze(1).clone()  # of the user's, who may change it in place
    return Unrolled(h, gates, FlatState(layers, tuple(rest[count : count + len(state.gate)])))
