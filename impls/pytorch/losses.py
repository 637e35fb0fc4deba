"""The losses: of the tasks, and of the budget."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impls.contract import ModelSpec


def task_loss(kind: str, outputs: Tensor, targets: Tensor, *, mask: Tensor | None) -> Tensor:
    """The mean loss over sequences (and over real steps and outputs, where there are several); a scalar.

    Where no step is real it is 0, and has no gradient.

    Args:
        kind: `mean_squared_error`, `cross_entropy` or `binary_cross_entropy`.
        outputs: raw outputs, `[batch, outputs]` or `[batch, time, outputs]`.
        targets: as `Batch` says.
        mask: `[batch, time]`, 1 on real steps; read where outputs have a time axis.
    """
    if kind == "cross_entropy":
        return functional.cross_entropy(outputs, targets.long())
    if mask is not None and outputs.dim() == 3:
        targets = torch.where(mask.unsqueeze(-1) > 0, targets, 0.0)  # padding has no target, whatever stands there
    if kind == "mean_squared_error":
        each = (outputs - targets) ** 2
    else:
        each = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    each = each.mean(dim=-1)
    if mask is None or each.dim() == 1:
        return _total(each) / each.numel()
    return _total(each * mask) / torch.clamp(_total(mask), min=1.0)


def budget_loss(spec: ModelSpec, updates: Tensor) -> Tensor:
    """What the updates cost: eq. 8, or an L1 or L2 penalty around a target; a scalar.

    Args:
        spec: the kind of budget, its cost λ and its target.
        updates: `[batch]`, the number of updates of each sequence.
    """
    if spec.budget == "l1":
        each = torch.abs(updates - spec.budget_target)
    elif spec.budget == "l2":
        each = (updates - spec.budget_target) ** 2
    else:
        each = updates
    return spec.budget_cost * each.mean()


def _total(each: Tensor) -> Tensor:
    """The sum over `[batch]` or `[batch, time]`, by sequence first: PyTorch cuts a sum over all by its threads."""
    return each.sum() if each.dim() == 1 else each.sum(dim=1).sum()
