"""Adam and clipping against their formulas in NumPy, of two parameters whose gradients are given."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np
import pytest

from impls.contract import FRAMEWORKS, Array, OptimizerSpec
from tests.impls.frameworks import array, tensor

START = (np.array([1.0, -2.0]), np.array([[0.5]]))
# Of global norms 13 and 1.3.
GRADIENTS = ((np.array([3.0, 4.0]), np.array([[12.0]])), (np.array([-0.4, 1.2]), np.array([[0.3]])))


def stepped(framework: str, spec: OptimizerSpec, gradients: Sequence[Sequence[Array]]) -> list[Array]:
    """The parameters after a step for each of the gradients."""
    optimizer = importlib.import_module(f"impls.{framework}.optimizer")
    if framework == "pytorch":
        from torch import nn

        parameters = [nn.Parameter(tensor(framework, value)) for value in START]
        adam = optimizer.Adam(spec, parameters)
        for of_step in gradients:
            for parameter, gradient in zip(parameters, of_step, strict=True):
                parameter.grad = tensor(framework, gradient)
            adam.step()
    else:
        import tensorflow as tf

        parameters = [tf.Variable(value) for value in START]
        adam = optimizer.Adam(spec, parameters)
        for of_step in gradients:
            adam.step([tensor(framework, gradient) for gradient in of_step], rate=tf.constant(adam.next_rate()))
    return [array(parameter) for parameter in parameters]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_epsilon_is_added_before_the_bias_is_corrected(framework: str) -> None:
    """Two steps of Kingma and Ba's efficient form, with an ε that is not small."""
    spec = OptimizerSpec(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=0.5, clip_norm=0.0)
    expected = []
    for start, first, second in zip(START, *GRADIENTS, strict=True):
        m, v = 0.2 * first, 0.1 * first**2
        x = start - 0.1 * np.sqrt(1 - 0.9) / (1 - 0.8) * m / (np.sqrt(v) + 0.5)
        m, v = 0.8 * m + 0.2 * second, 0.9 * v + 0.1 * second**2
        expected.append(x - 0.1 * np.sqrt(1 - 0.9**2) / (1 - 0.8**2) * m / (np.sqrt(v) + 0.5))
    for value, wanted in zip(stepped(framework, spec, GRADIENTS), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradients_are_scaled_together_to_the_norm(framework: str) -> None:
    """One of norm 13 to norm 6.5, in its direction; one of norm 1.3 is left alone. A large ε shows the scale."""
    spec = OptimizerSpec(epsilon=1e3, clip_norm=6.5)
    unclipped = OptimizerSpec(epsilon=1e3, clip_norm=0.0)
    halves = [gradient / 2 for gradient in GRADIENTS[0]]
    for given, same in ((GRADIENTS[0], halves), (GRADIENTS[1], GRADIENTS[1])):
        moved = stepped(framework, spec, [given])
        for start, value, wanted in zip(START, moved, stepped(framework, unclipped, [same]), strict=True):
            np.testing.assert_allclose(value - start, wanted - start, rtol=1e-5)
