"""The random skip's gate: data, of which no engine gives a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from impls.checks import GRADIENT_OF_UPDATES
from impls.errors import CellError
from impls.pytorch.transforms import has_tangent


def without_gradient(updates: Tensor) -> Tensor:
    """The gate as it is given; `CellError` where its gradient is asked for.

    Forward-mode differentiation counts."""
    if (torch.is_grad_enabled() and updates.requires_grad) or has_tangent(updates):
        raise CellError(GRADIENT_OF_UPDATES)
    return updates
