"""The refusal of what a hand-written gradient does not have: a second derivative, and many gradients in one call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from impls.errors import CellError

Backward = Callable[..., tuple[Tensor | None, ...]]


def first_order(backward: Backward) -> Backward:
    """Makes a `backward` raise `CellError` where its result would be differentiated in turn, or stands for many."""

    @functools.wraps(backward)
    def checked(ctx: Any, *flows: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise CellError(
                "engine='fast' has no second derivative (create_graph=True): give the layer engine='reference'"
            )
        if any(_stands_for_many(flow) for flow in tree_leaves(flows)):
            raise CellError(
                "engine='fast' takes one gradient at a time (not vectorize=True, is_grads_batched=True or vmap): "
                "give the layer engine='reference'"
            )
        return backward(ctx, *flows)

    return checked


def _stands_for_many(flow: Tensor | None) -> bool:
    """Whether this is a batch of gradients in the place of one."""
    functorch = torch._C._functorch
    return flow is not None and (functorch.is_batchedtensor(flow) or functorch.is_legacy_batchedtensor(flow))
