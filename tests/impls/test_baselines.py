"""The baselines: native layers that really learn, products of the right shapes, at any size."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls.contract import (
    BASELINES,
    FRAMEWORKS,
    Batch,
    CellSpec,
    ModelSpec,
    OptimizerSpec,
    build_baseline,
)

EVERY = [(framework, name) for framework in FRAMEWORKS for name in BASELINES[framework]]
NATIVE = [(framework, name) for framework, name in EVERY if name != "products"]


def baseline(
    framework: str, name: str, *, kind: str, training: bool, batch_size: int = 4, precision: str = "float32"
) -> Callable[[], object]:
    generator = np.random.default_rng(0)
    return build_baseline(
        framework,
        baseline=name,
        model=ModelSpec(
            cell=CellSpec(cell=kind, input_size=2, units=(5,), precision=precision), output_size=3, loss="cross_entropy"
        ),
        optimizer=OptimizerSpec(learning_rate=0.05),
        batch=Batch(
            inputs=generator.standard_normal((batch_size, 6, 2)).astype(np.float32),
            targets=generator.integers(3, size=batch_size, dtype=np.int32),
        ),
        training=training,
    )


@pytest.mark.covering("framework, name", "kind")
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize(("framework", "name"), NATIVE)
def test_native_layers_learn(framework: str, name: str, kind: str) -> None:
    step = baseline(framework, name, kind=kind, training=True)
    losses = [step() for _ in range(25)]
    assert isinstance(losses[0], float)
    assert 0.0 < losses[-1] < 0.5 * losses[0]  # type: ignore[operator]


@pytest.mark.parametrize(("framework", "name"), NATIVE)
def test_native_inference_learns_nothing(framework: str, name: str) -> None:
    step = baseline(framework, name, kind="gru", training=False)
    first, second = step(), step()
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert first[0] == second[0]
    assert first[1].shape == (4, 3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_products_are_finite_at_any_batch_size(framework: str, batch_size: int, training: bool) -> None:
    step = baseline(framework, "products", kind="gru", training=training, batch_size=batch_size)
    assert np.isfinite(np.asarray(step(), np.float64))


@pytest.mark.parametrize(("framework", "name"), EVERY)
def test_baselines_are_multiplied_at_their_precision(
    framework: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held while a step runs, on the baseline's device."""
    module = importlib.import_module(f"impls.{framework}.baselines")
    held: list[tuple[str, str]] = []
    multiplying = module.multiplying

    def seen(precision: str, *, device: str) -> Any:
        held.append((precision, device))
        return multiplying(precision, device=device)

    monkeypatch.setattr(module, "multiplying", seen)
    step = baseline(framework, name, kind="gru", training=True, precision="bfloat16")
    assert held == []
    losses = [float(np.asarray(step(), np.float64)) for _ in range(2)]
    assert np.isfinite(losses).all()
    assert held == [("bfloat16", "cpu")] * 2
    if name != "products":
        assert losses[1] < losses[0]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpus_floor_is_the_same_multiply_adds_in_one_product(
    framework: str, kind: str, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted as they are made: of each matrix, and in training the two of its gradient."""
    module = importlib.import_module(f"impls.{framework}.baselines")
    counted: list[int] = []
    if framework == "pytorch":
        import torch

        class Counting(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if function is torch.ops.aten.mm.default:
                    (rows, inner), columns = args[0].shape, args[1].shape[1]
                    counted.append(rows * inner * columns)
                return function(*args, **(kwargs or {}))

        context: Any = Counting()
    else:
        import contextlib

        import tensorflow as tf

        matmul = tf.matmul

        def counting(left: Any, right: Any, **options: Any) -> Any:
            product = matmul(left, right, **options)
            counted.append(int(product.shape[0] * product.shape[1] * left.shape[not options.get("transpose_a")]))
            return product

        monkeypatch.setattr(tf, "matmul", counting)
        context = contextlib.nullcontext()
    spec = ModelSpec(cell=CellSpec(cell=kind, input_size=2, units=(5,)), output_size=3, loss="cross_entropy")
    batch = Batch(inputs=np.zeros((4, 6, 2), np.float32), targets=np.zeros(4, np.int32))
    options = {"device": "cpu"} if framework == "pytorch" else {}
    step = module._one_product_step(model=spec, batch=batch, training=training, **options)
    with context:
        assert np.isfinite(np.asarray(step(), np.float64))
    widths = {"lstm": [20], "gru": [10, 5]}[kind]
    forward = [6 * 4 * (2 + 5) * width for width in widths]
    backward = [count for width in widths for count in (6 * 4 * width * 5, 6 * 4 * (2 + 5) * width)]
    assert counted == forward + (backward if training else [])
