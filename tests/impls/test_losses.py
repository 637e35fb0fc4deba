"""The losses against their formulas in NumPy: what the twins agree on is what is meant."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls.contract import FRAMEWORKS, Array, CellSpec, ModelSpec
from tests.impls.frameworks import array, tensor

BATCH, TIME, OUTPUTS = 4, 5, 3
DRAW = np.random.default_rng(0)
LOGITS, WANTED = DRAW.standard_normal((2, BATCH, TIME, OUTPUTS))
TRUTHS = DRAW.integers(0, 2, (BATCH, TIME, OUTPUTS)).astype(np.float64)
CLASSES = np.array([2, 0, 1, 2], np.int32)
# Of unlike lengths, so that a mean over sequences of their means is another number than one over all real steps.
MASK = (np.arange(TIME) < np.array([[1], [5], [2], [4]])).astype(np.float64)
UPDATES = np.array([0.0, 2.0, 5.0, 9.0])


def task_loss(framework: str, kind: str, outputs: Array, targets: Array, *, mask: Array | None = None) -> float:
    losses = importlib.import_module(f"impls.{framework}.losses")
    given = None if mask is None else tensor(framework, mask)
    return float(array(losses.task_loss(kind, tensor(framework, outputs), tensor(framework, targets), mask=given)))


def value_and_gradient(framework: str, loss: Callable[[Any], Any], at: Array) -> tuple[float, Array]:
    """A scalar function of a tensor, and its gradient."""
    where = tensor(framework, at)
    if framework == "pytorch":
        where.requires_grad_()
        value = loss(where)
        value.backward()
        return value.item(), array(where.grad)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(where)
        value = loss(where)
    return float(value), array(tape.gradient(value, where))


def squares(outputs: Array, targets: Array) -> Array:
    return (outputs - targets) ** 2


def binary_entropies(logits: Array, truths: Array) -> Array:
    share = 1 / (1 + np.exp(-logits))
    return -truths * np.log(share) - (1 - truths) * np.log(1 - share)


SEVERAL = [("mean_squared_error", squares, WANTED), ("binary_cross_entropy", binary_entropies, TRUTHS)]


@pytest.mark.parametrize(("kind", "each", "targets"), SEVERAL)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_loss_is_the_mean_over_sequences_real_steps_and_outputs(
    framework: str, kind: str, each: Any, targets: Array
) -> None:
    last = task_loss(framework, kind, LOGITS[:, -1], targets[:, -1], mask=MASK)
    assert last == pytest.approx(each(LOGITS, targets)[:, -1].mean()), "one output a sequence: the mask is not read"
    assert task_loss(framework, kind, LOGITS, targets) == pytest.approx(each(LOGITS, targets).mean())
    real = each(LOGITS, targets)[MASK == 1]
    assert task_loss(framework, kind, LOGITS, targets, mask=MASK) == pytest.approx(real.mean())


@pytest.mark.parametrize(("kind", "each", "targets"), SEVERAL)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_where_no_step_is_real_the_loss_is_nothing_and_has_no_gradient(
    framework: str, kind: str, each: Any, targets: Array
) -> None:
    losses = importlib.import_module(f"impls.{framework}.losses")
    truths, padding = tensor(framework, targets), tensor(framework, np.zeros((BATCH, TIME)))

    def loss(outputs: Any) -> Any:
        return losses.task_loss(kind, outputs, truths, mask=padding)

    value, gradient = value_and_gradient(framework, loss, LOGITS)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(LOGITS))


@pytest.mark.parametrize(("kind", "each", "targets"), SEVERAL)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_single_real_step_is_its_own_mean(framework: str, kind: str, each: Any, targets: Array) -> None:
    one = np.zeros((BATCH, TIME))
    one[2, 0] = 1
    found = task_loss(framework, kind, LOGITS, targets, mask=one)
    assert found == pytest.approx(each(LOGITS, targets)[2, 0].mean())


@pytest.mark.parametrize(("kind", "each", "targets"), SEVERAL)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_stands_for_a_target_in_the_padding_is_not_read(
    framework: str, kind: str, each: Any, targets: Array
) -> None:
    losses = importlib.import_module(f"impls.{framework}.losses")
    unknown = np.where(MASK[:, :, np.newaxis] == 1, targets, np.nan)

    def loss(outputs: Any, truths: Array) -> Any:
        return losses.task_loss(kind, outputs, tensor(framework, truths), mask=tensor(framework, MASK))

    value, gradient = value_and_gradient(framework, lambda outputs: loss(outputs, unknown), LOGITS)
    expected, slope = value_and_gradient(framework, lambda outputs: loss(outputs, targets), LOGITS)
    assert value == expected == pytest.approx(each(LOGITS, targets)[MASK == 1].mean())
    np.testing.assert_array_equal(gradient, slope)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_cross_entropy_is_the_mean_surprise_at_the_classes(framework: str) -> None:
    shares = np.exp(LOGITS[:, 0]) / np.exp(LOGITS[:, 0]).sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(BATCH), CLASSES]).mean()
    assert task_loss(framework, "cross_entropy", LOGITS[:, 0], CLASSES) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("budget", "each"),
    [("cost_per_sample", UPDATES), ("l1", np.abs(UPDATES - 3.0)), ("l2", (UPDATES - 3.0) ** 2)],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_budget_costs_lambda_times_the_mean_over_sequences(framework: str, budget: str, each: Array) -> None:
    losses = importlib.import_module(f"impls.{framework}.losses")
    cell = CellSpec(cell="skip_lstm", input_size=1, units=(2,))
    spec = ModelSpec(
        cell=cell, output_size=1, loss="mean_squared_error", budget=budget, budget_cost=0.01, budget_target=3.0
    )
    cost = float(array(losses.budget_loss(spec, tensor(framework, UPDATES))))
    assert cost == pytest.approx(0.01 * each.mean())
