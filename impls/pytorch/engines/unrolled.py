"""What every engine returns, and which steps are within a sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impls.states import FlatState


class Unrolled(NamedTuple):
    """An unrolled cell: h `[batch, time or 1, units]` of the top layer, gates `[batch, time, 1]`, the final state."""

    h: Tensor
    gates: Tensor
    state: FlatState


def real_steps(lengths: Tensor, *, steps: int) -> Tensor:
    """Whether each step is within its sequence, `[batch, time, 1]`, from `lengths` `[batch]`."""
    return (torch.arange(steps, device=lengths.device) < lengths[:, None]).unsqueeze(2)


def without_padding(inputs: Tensor, *, real: Tensor) -> Tensor:
    """The inputs with zeros where a step is not `real`: what stands there, NaN too, reaches nothing."""
    return torch.where(real, inputs, torch.zeros_like(inputs))
