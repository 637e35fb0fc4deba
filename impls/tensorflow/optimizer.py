"""Adam and clipping by global norm, to the same formulas in both frameworks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from impls.contract import Array, OptimizerSpec
from impls.learner_state import Moments


class Adam:
    """Adam as in the authors' TensorFlow: ε is added to √v before v's bias is corrected.

    `x ← x − α_t m / (√v + ε)` with `α_t = α √(1 − β₂ᵗ) / (1 − β₁ᵗ)`. Keras computes `1 − β₂` from a float32 β₂, an
    error of 5e-5 that PyTorch does not make; here α_t comes from Python's float64.
    """

    def __init__(self, spec: OptimizerSpec, parameters: Sequence[tf.Variable]) -> None:
        self.spec = spec
        self.parameters = list(parameters)
        self.steps = 0
        self._moments = [
            (tf.Variable(tf.zeros_like(parameter)), tf.Variable(tf.zeros_like(parameter)))
            for parameter in self.parameters
        ]

    def next_rate(self, *, learning_rate: float | None = None) -> Array:
        """Counts a step and returns its α_t, to be fed to `step` from outside the traced function.

        `learning_rate` is α of this step; None is the spec's.
        """
        spec = self.spec
        self.steps += 1
        correction = math.sqrt(1.0 - spec.beta_2**self.steps) / (1.0 - spec.beta_1**self.steps)
        return np.asarray((spec.learning_rate if learning_rate is None else learning_rate) * correction)

    def step(self, gradients: Sequence[Tensor], *, rate: Tensor) -> None:
        """Clips the gradients, and updates the parameters with the step's α_t."""
        spec = self.spec
        clipped = clip_global_norm(gradients, norm=spec.clip_norm)
        for parameter, gradient, (m, v) in zip(self.parameters, clipped, self._moments, strict=True):
            m.assign(spec.beta_1 * m + (1.0 - spec.beta_1) * gradient)
            v.assign(spec.beta_2 * v + (1.0 - spec.beta_2) * gradient * gradient)
            parameter.assign_sub(tf.cast(rate, parameter.dtype) * m / (tf.sqrt(v) + spec.epsilon))

    def export_moments(self) -> list[Moments]:
        """Copies of m and v of each parameter, in order."""
        return [(m.numpy().copy(), v.numpy().copy()) for m, v in self._moments]

    def load(self, moments: Sequence[Moments], *, steps: int) -> None:
        """Goes on from these moments, in the parameters' order, and so many steps."""
        self.steps = steps
        for mine, given in zip(self._moments, moments, strict=True):
            for moment, value in zip(mine, given, strict=True):
                moment.assign(value)


def clip_global_norm(gradients: Sequence[Tensor], *, norm: float) -> list[Tensor]:
    """Scales all gradients so that their global norm is at most `norm`; 0 leaves them."""
    if norm == 0:
        return list(gradients)
    scale = norm / tf.maximum(tf.linalg.global_norm(gradients), norm)
    return [gradient * scale for gradient in gradients]
