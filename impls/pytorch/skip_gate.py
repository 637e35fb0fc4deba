"""The skip gate: how an update is decided, and how gradients pass through the decision."""

from __future__ import annotations

import torch
from torch import Tensor


def gate_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of Δũ and ũ beside parameters of this type: float32 at least.

    In bfloat16 a ũ of 0.25 would stay what it is when a small Δũ is added to it, and the gate would never fire again.
    """
    return torch.promote_types(dtype, torch.float32)


def accumulate(*, update_prob: Tensor, cum_update_prob: Tensor) -> Tensor:
    """Eq. 5: `ũ = stored ũ + min(Δũ, 1 − stored ũ)`; all `[batch, 1]`.

    Where both sides of the minimum are equal the gradient goes to Δũ whole, as in the authors' TensorFlow;
    `torch.minimum` would halve it. A Δũ of NaN is passed on.
    """
    remaining = 1.0 - cum_update_prob
    return cum_update_prob + torch.where(update_prob > remaining, remaining, update_prob)


def straight_through(decision: Tensor, *, cumulative: Tensor) -> Tensor:
    """The value of `decision` with the gradient of `cumulative` (eq. 7), exact in floating point."""
    return decision.detach() + (cumulative - cumulative.detach())


def round_gate(cumulative: Tensor) -> Tensor:
    """Eq. 2: `u = round(ũ)`; half to even, so exactly 0.5 skips."""
    return straight_through(torch.round(cumulative), cumulative=cumulative)


def bernoulli_gate(cumulative: Tensor, *, gate_noise: Tensor) -> Tensor:
    """`u ~ Bernoulli(ũ)`: an update where the uniform `gate_noise` `[batch, 1]` falls below ũ."""
    return straight_through((gate_noise < cumulative).to(cumulative.dtype), cumulative=cumulative)


def update_probability(candidate: Tensor, *, weights: Tensor, biases: Tensor, precision: str = "float32") -> Tensor:
    """Eq. 4: `Δũ = σ(s W + b)`, from the candidate state `[batch, units]` to `[batch, 1]`, in float32 at least.

    Beside products of another `precision` this one is a sum, which no setting of the framework's rounds: a gate hangs
    on its last digit.
    """
    dtype = gate_dtype(candidate.dtype)
    wide, of_weights = candidate.to(dtype), weights.to(dtype)
    logit = wide @ of_weights if precision == "float32" else (wide * of_weights[:, 0]).sum(dim=-1, keepdim=True)
    return torch.sigmoid(logit + biases.to(dtype))
