"""Derivatives that `backward` does not take: those of `torch.func`, and forward-mode differentiation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from impls.errors import CellError


def has_tangent(tensor: Tensor) -> bool:
    """Whether forward-mode differentiation follows this tensor."""
    if forward_ad._current_level < 0:
        return False
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


def with_values(tensor: Tensor) -> Tensor:
    """The tensor beneath those that `torch.func` puts around it, whose values can be read."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


@torch.compiler.disable(reason="the fast engine is compiled already")  # type: ignore[no-untyped-call, untyped-decorator]
def refuse_transforms(tensors: Iterable[Tensor]) -> None:
    """Raises `CellError` where one of these differentiates a tensor that goes to the fast engine."""
    for tensor in tensors:
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or has_tangent(tensor):
            raise CellError(
                "engine='fast' is not for torch.func or forward-mode differentiation: give the layer engine='reference'"
            )
