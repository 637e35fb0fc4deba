"""`torch.autocast` beside cells and layers, which compute in their parameters' type whatever it says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

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


def in_own_precision(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Makes an autograd function's `backward` compute as its `forward` did, also where autocast is on when it runs."""

    @functools.wraps(backward)
    def run(ctx: Any, *cotangents: Tensor | None) -> Any:
        with own_precision(ctx.saved_tensors[0]):
            return backward(ctx, *cotangents)

    return run
