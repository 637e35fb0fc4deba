"""What goes into an unroll, by what it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.engines.tiles.packing import names_of


class Entries(NamedTuple):
    """The leaves of the initial state `[batch, units]`, Δũ and the stored ũ `[batch, 1]`, the parameters by name.

    Of a plain cell, Δũ and ũ are room that nothing reads.
    """

    leaves: list[Tensor]
    probability: Tensor
    stored: Tensor
    parameters: dict[str, Tensor]


def entries_of(spec: CellSpec, tensors: list[Tensor]) -> Entries:
    """Of the tensors that `operator.unroll` takes beside its inputs."""
    count = len(spec.kind.state) * len(spec.units)
    leaves, rest = tensors[:count], tensors[count:]
    if spec.skips:
        probability, stored, *rest = rest
    else:
        probability = stored = leaves[0].new_zeros(len(leaves[0]), 1)
    return Entries(leaves, probability.contiguous(), stored.contiguous(), dict(zip(names_of(spec), rest, strict=True)))


def ends_of(inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """Where each sequence of inputs `[batch, time, features]` ends, `[batch]`."""
    batch, steps, _ = inputs.shape
    if lengths is not None:
        return lengths.contiguous()
    return torch.full((batch,), steps, dtype=torch.int64, device=inputs.device)
