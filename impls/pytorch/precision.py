"""`torch.autocast` beside cells and layers, which compute in their parameters' type whatever it says."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def autocasts(inputs: Tensor) -> bool:
    """Whether `torch.autocast` chooses the types of operators where this tensor is, so that it may be of any."""
    device = inputs.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def own_precision(inputs: Tensor) -> AbstractContextManager[object]:
    """A context in which operators keep the type of what they are given.

    A state that is carried over hundreds of steps wants its whole type, and a gate may hang on its last digit.
    """
    return torch.autocast(inputs.device.type, enabled=False) if autocasts(inputs) else nullcontext()
