"""The refusal of derivatives that a hand-written gradient does not have: a second one, and those of `torch.func`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

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


def are_transformed(*tensors: Tensor) -> bool:
    """Whether `torch.func` (`grad`, `vmap`, `jvp`, …) or forward-mode differentiation acts on one of them."""
    if any(torch._C._functorch.is_functorch_wrapped_tensor(tensor) for tensor in tensors):
        return True
    return any(has_tangent(tensor) for tensor in tensors)


def has_tangent(tensor: Tensor) -> bool:
    """Whether forward-mode differentiation follows this tensor."""
    if forward_ad._current_level < 0:
        return False
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


@torch.compiler.disable(reason="the fast engine is not compiled")  # type: ignore[no-untyped-call, untyped-decorator]
def refuse_transforms(tensors: Iterable[Tensor]) -> None:
    """Raises `CellError` where `torch.func` or forward-mode differentiation acts on one of the tensors."""
    if are_transformed(*tensors):
        raise CellError(
            "engine='fast' is not for torch.func or forward-mode differentiation: give the layer engine='reference'"
        )
