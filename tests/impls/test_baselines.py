"""The baselines: native layers that really learn, products of the right shapes, at any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from impls.contract import BASELINES, FRAMEWORKS, Batch, CellSpec, ModelSpec, OptimizerSpec, build_baseline

EVERY = [(framework, name) for framework in FRAMEWORKS for name in BASELINES[framework]]
NATIVE = [(framework, name) for framework, name in EVERY if name != "products"]


def baseline(framework: str, name: str, *, kind: str, training: bool, batch_size: int = 4) -> Callable[[], object]:
    generator = np.random.default_rng(0)
    return build_baseline(
        framework,
        baseline=name,
        model=ModelSpec(cell=CellSpec(cell=kind, input_size=2, units=(5,)), output_size=3, loss="cross_entropy"),
        optimizer=OptimizerSpec(learning_rate=0.05),
        batch=Batch(
            inputs=generator.standard_normal((batch_size, 6, 2)).astype(np.float32),
            targets=generator.integers(3, size=batch_size, dtype=np.int32),
        ),
        training=training,
    )


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
