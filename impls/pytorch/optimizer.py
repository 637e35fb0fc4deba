"""Adam and clipping by global norm, to the same formulas in both frameworks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impls.contract import OptimizerSpec
from impls.learner_state import Moments


class Adam:
    """Adam as in the authors' TensorFlow: ε is added to √v before v's bias is corrected.

    `x ← x − α_t m / (√v + ε)` with `α_t = α √(1 − β₂ᵗ) / (1 − β₁ᵗ)`. PyTorch adds ε after the correction; dividing
    it by `√(1 − β₂ᵗ)` turns one formula into the other.
    """

    def __init__(self, spec: OptimizerSpec, parameters: Sequence[nn.Parameter]) -> None:
        self.spec = spec
        self.parameters = list(parameters)
        self.steps = 0
        self._adam = torch.optim.Adam(
            self.parameters, lr=spec.learning_rate, betas=(spec.beta_1, spec.beta_2), fused=True
        )

    def clear_gradients(self) -> None:
        """Forgets the gradients of the step before."""
        self._adam.zero_grad()

    def step(self, *, learning_rate: float | None = None) -> None:
        """Clips the gradients that the parameters hold, and updates the parameters.

        `learning_rate` is α of this step; None is the spec's.
        """
        spec = self.spec
        self.steps += 1
        # Passed over, a parameter without a gradient would count fewer steps than the others, and its bias be corrected
        # otherwise than in TensorFlow or from a checkpoint.
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        clip_global_norm(self.parameters, norm=spec.clip_norm)
        for group in self._adam.param_groups:
            group["lr"] = spec.learning_rate if learning_rate is None else learning_rate
            group["eps"] = spec.epsilon / math.sqrt(1.0 - spec.beta_2**self.steps)
        self._adam.step()

    def export_moments(self) -> list[Moments]:
        """Copies of m and v of each parameter, in order."""
        return [
            (m.cpu().numpy().copy(), v.cpu().numpy().copy())
            for m, v in (self._moments(parameter) for parameter in self.parameters)
        ]

    def load(self, moments: Sequence[Moments], *, steps: int) -> None:
        """Goes on from these moments, in the parameters' order, and so many steps."""
        self.steps = steps
        for parameter, (m, v) in zip(self.parameters, moments, strict=True):
            self._adam.state[parameter] = {
                "step": torch.tensor(float(steps), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter.detach()).copy_(torch.tensor(m)),
                "exp_avg_sq": torch.zeros_like(parameter.detach()).copy_(torch.tensor(v)),
            }

    def _moments(self, parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
        """m and v, which PyTorch makes in a parameter's first step: zero until then."""
        state = self._adam.state.get(parameter)
        if not state:
            zeros = torch.zeros_like(parameter.detach())
            return zeros, zeros
        return state["exp_avg"], state["exp_avg_sq"]


def clip_global_norm(parameters: Sequence[nn.Parameter], *, norm: float) -> None:
    """Scales all gradients so that their global norm is at most `norm`; 0 leaves them.

    `torch.nn.utils.clip_grad_norm_` adds 1e-6 to the norm, which TensorFlow does not.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if norm == 0 or not gradients:
        return
    scale = norm / torch.clamp(nn.utils.get_total_norm(gradients), min=norm)
    for gradient in gradients:
        gradient.mul_(scale)
