"""The refusal of a second derivative, which a hand-written gradient would leave out in silence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from impls.errors import CellError

Backward = Callable[..., tuple[Tensor | None, ...]]


def first_order(backward: Backward) -> Backward:
    """Makes a `backward` raise `CellError` where its result would have to be differentiated in turn."""

    @functools.wraps(backward)
    def checked(ctx: Any, *flows: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise CellError(
                "engine='fast' has no second derivative (create_graph=True): give the layer engine='reference'"
            )
        return backward(ctx, *flows)

    return checked
