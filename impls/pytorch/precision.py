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
    return _has_autocast(device) and torch.is_autocast_enabled(device)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _has_autocast(device: str) -> bool:
    """Whether a type of device has it at all, which Dynamo of PyTorch 2.11 cannot trace."""
    return torch.amp.is_autocast_available(device)


def own_precision(inputs: Tensor) -> AbstractContextManager[object]:
    """A context in which operators keep the type of what they are given.

    A state that is carried over hundreds of steps wants its whole type, and a gate may hang on its last digit.
    """
    return torch.autocast(inputs.device.type, enabled=False) if autocasts(inputs) else nullcontext()


def in_own_precision(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Makes an autograd function's `backward` compute as its `forward` did, also where autocast is on when it runs.

    It reads what was saved once, as checkpointing asks.
    """

    @functools.wraps(backward)
    def run(ctx: Any, *cotangents: Any) -> Any:
        given = (each for one in cotangents for each in (one if isinstance(one, (list, tuple)) else (one,)))
        first = next((each for each in given if each is not None), None)
        with nullcontext() if first is None else own_precision(first):
            return backward(ctx, *cotangents)

    return run
