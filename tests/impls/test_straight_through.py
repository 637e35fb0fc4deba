"""The straight-through gradient (eq. 7): the gate rounds going forward and is the identity going back."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from impls.contract import FRAMEWORKS, Array
from tests.impls import recorded_runs
from tests.impls.frameworks import (
    FORMS,
    array,
    build,
    parameters_for,
    relative_difference,
    run,
    tensor,
)

# Values on both sides of a tie, on ties, and where adding and subtracting a float32 could lose the last bit.
CUMULATIVE = np.array([[0.0], [1e-8], [0.1], [0.3333333], [0.49999997], [0.5], [0.50000006], [0.7], [1.0]], np.float32)


def gate_and_gradient(framework: str, function: str, cumulative: Array, **arguments: Array) -> tuple[Array, Array]:
    """A gate's decisions and the gradient of their sum."""
    gate = getattr(importlib.import_module(f"impls.{framework}.skip_gate"), function)
    x = tensor(framework, cumulative)
    given = {name: tensor(framework, value) for name, value in arguments.items()}
    if framework == "pytorch":
        u = gate(x.requires_grad_(), **given)
        u.sum().backward()
        return array(u), array(x.grad)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        u = gate(x, **given)
    return array(u), array(tape.gradient(u, x))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_rounding_passes_the_gradient_whole(framework: str) -> None:
    u, gradient = gate_and_gradient(framework, "round_gate", CUMULATIVE)
    np.testing.assert_array_equal(u[:, 0], [0, 0, 0, 0, 0, 0, 1, 1, 1])  # exactly 0.5 skips
    np.testing.assert_array_equal(gradient, np.ones_like(CUMULATIVE))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_drawing_passes_the_gradient_whole(framework: str) -> None:
    noise = np.full_like(CUMULATIVE, 0.3)
    u, gradient = gate_and_gradient(framework, "bernoulli_gate", CUMULATIVE, gate_noise=noise)
    np.testing.assert_array_equal(u[:, 0], [0, 0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(gradient, np.ones_like(CUMULATIVE))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["skip_lstm_24_bias-3", "skip_gru_16x24_bias-3"])
def test_gate_parameters_get_the_recorded_gradient(name: str, framework: str, form: str) -> None:
    """These two parameters act through the rounding alone: without eq. 7 their gradient would be zero."""
    recorded = recorded_runs.load(name)
    module = build(framework, form, recorded.spec)
    module.load_parameters(recorded.parameters)
    ours = run(framework, form, module, recorded.x, h_weight=recorded.loss_weight, gate_weight=recorded.cost_per_sample)
    for parameter in ("update_gate.weights", "update_gate.biases"):
        assert np.linalg.norm(recorded.gradients[parameter]) > 0
        assert relative_difference(ours.gradients[parameter], recorded.gradients[parameter]) < 5e-5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_skipped_step_still_sees_its_candidate(framework: str) -> None:
    """`∂s_t/∂u_t = S(s_{t-1}, x_t) − s_{t-1}` where u_t = 0: the input of a skipped step changes a later loss.

    The gate has no weights, so x_1 can reach the loss at t = 1 only through `u_1 S`, which is zero forward, and
    whose derivative by the candidate is u_1 = 0; but u_1's own derivative is the candidate, so the gate's bias
    feels x_1.
    """
    spec = recorded_runs.load("skip_gru_24_bias-3").spec
    parameters = parameters_for(spec)
    parameters["update_gate.weights"][:] = 0.0
    parameters["update_gate.biases"][:] = -1.0  # Δũ = 0.27: one update, then a skip
    module = build(framework, "layer", spec, dtype="float64")
    module.load_parameters(parameters)
    x = np.random.default_rng(0).normal(size=(1, 2, 3))
    last = np.array([0.0, 1.0])[:, np.newaxis]
    ours = run(framework, "layer", module, x, h_weight=last)
    np.testing.assert_array_equal(ours.gates[0, :, 0], [1, 0])
    np.testing.assert_array_equal(ours.gradients["x"][0, 1], 0.0)  # u_1 = 0 lets nothing into the candidate

    every_step = build(framework, "layer", spec, dtype="float64")  # the same cell, made to update at t = 1
    every_step.load_parameters({**parameters, "update_gate.biases": np.array([50.0])})
    candidate = run(framework, "layer", every_step, x).h[0, 1]
    probability = 1.0 / (1.0 + np.exp(1.0))
    expected = np.sum(candidate - ours.h[0, 1]) * probability * (1.0 - probability)
    np.testing.assert_allclose(ours.gradients["update_gate.biases"], [expected], rtol=1e-12)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("update_prob", "stored", "to_update_prob", "to_stored"),
    [
        (0.2, 0.5, 1.0, 1.0),  # below the remainder: ũ = stored + Δũ
        (0.9, 0.5, 0.0, 0.0),  # above it: ũ = 1, a constant
        (1.0, 0.0, 1.0, 1.0),  # the first step's tie: the gradient goes to Δũ whole
        (0.5, 0.5, 1.0, 1.0),
    ],
)
def test_minimum_gives_a_tie_to_the_update_probability(
    framework: str, update_prob: float, stored: float, to_update_prob: float, to_stored: float
) -> None:
    skip_gate = importlib.import_module(f"impls.{framework}.skip_gate")
    values = [tensor(framework, np.array([[value]])) for value in (update_prob, stored)]
    if framework == "pytorch":
        import torch

        first, second = (value.requires_grad_() for value in values)
        gradients = torch.autograd.grad(
            skip_gate.accumulate(update_prob=first, cum_update_prob=second), (first, second)
        )
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            cumulative = skip_gate.accumulate(update_prob=values[0], cum_update_prob=values[1])
        gradients = tape.gradient(cumulative, values)
    assert [float(gradient[0, 0]) for gradient in gradients] == [to_update_prob, to_stored]
