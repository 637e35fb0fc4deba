"""A learner's state: training goes on from it as if it had never stopped, in its own framework and in the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.tasks.randomness import generator
from impls.contract import ENGINES, FRAMEWORKS, Batch, CellSpec, Learner, ModelSpec, OptimizerSpec, build_learner
from impls.errors import ParameterError
from impls.kinds import cells
from impls.parameters import initial_parameters

BEFORE, AFTER = 7, 7


def model(cell: str) -> ModelSpec:
    spec = CellSpec(cell=cell, input_size=2, units=(3,), update_bias=-0.5)
    return ModelSpec(cell=spec, output_size=1, loss="mean_squared_error", budget_cost=0.01)


def learner(framework: str, spec: ModelSpec, *, seed: int = 3, engine: str = "fast") -> Learner:
    return build_learner(
        framework,
        model=spec,
        optimizer=OptimizerSpec(learning_rate=1e-2),
        parameters=initial_parameters(spec, seed=seed),
        engine=engine,
    )


def batch(step: int) -> Batch:
    draw = generator(seed=1, stream="state", step=step)
    return Batch(
        inputs=draw.standard_normal((4, 5, 2)).astype(np.float32),
        targets=draw.standard_normal((4, 1)).astype(np.float32),
    )


def train(trained: Learner, *, first: int, end: int) -> None:
    for step in range(first, end):
        trained.train_step(batch(step))


@pytest.mark.covering("framework, engine", "cell")
@pytest.mark.parametrize("cell", cells())
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("framework", FRAMEWORKS[::-1])  # plain cells where each learner is compiled anew
def test_training_goes_on_bit_for_bit(framework: str, engine: str, cell: str) -> None:
    spec = model(cell)
    whole = learner(framework, spec, engine=engine)
    train(whole, first=0, end=BEFORE)
    state = whole.export_state()
    kept = {name: array.copy() for name, array in state.items()}
    train(whole, first=BEFORE, end=BEFORE + AFTER)

    resumed = learner(framework, spec, seed=4, engine=engine)
    resumed.load_state(state)
    train(resumed, first=BEFORE, end=BEFORE + AFTER)
    wanted, got = whole.export_state(), resumed.export_state()
    assert list(got) == list(wanted)
    assert wanted["steps"] == BEFORE + AFTER
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name, strict=True)
        np.testing.assert_array_equal(state[name], kept[name], err_msg=f"training changed the copy of {name}")


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_a_state_replaces_whatever_was_trained_before(framework: str) -> None:
    spec = model("skip_gru")
    fresh, trained = learner(framework, spec), learner(framework, spec)
    start = fresh.export_state()
    assert start["steps"] == 0
    assert not any(array.any() for name, array in start.items() if name.startswith("adam_"))
    train(trained, first=0, end=3)
    trained.load_state(start)
    for one in (fresh, trained):
        train(one, first=0, end=3)
    for name, value in fresh.export_state().items():
        np.testing.assert_array_equal(trained.export_state()[name], value, err_msg=name)


def test_a_state_crosses_frameworks() -> None:
    spec = replace(model("skip_lstm"), dtype="float64")
    learners = {framework: learner(framework, spec, seed=seed) for seed, framework in enumerate(FRAMEWORKS)}
    starts = {framework: one.export_state() for framework, one in learners.items()}
    for framework, other in (FRAMEWORKS, FRAMEWORKS[::-1]):
        whole, resumed = learners[framework], learners[other]
        whole.load_state(starts[framework])
        train(whole, first=0, end=BEFORE)
        resumed.load_state(whole.export_state())
        for one in (whole, resumed):
            train(one, first=BEFORE, end=BEFORE + AFTER)
        got = resumed.export_state()
        for name, value in whole.export_state().items():
            np.testing.assert_allclose(got[name], value, rtol=1e-9, atol=1e-12, err_msg=name, strict=True)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(framework: str) -> None:
    mine = learner(framework, model("lstm"))
    good = mine.export_state()
    other = {name: array + 1 for name, array in good.items()}
    biases = "adam_v/readout.biases"
    refused = {
        "has no 'adam_m/readout.bias'; did you mean 'adam_m/readout.biases'?": {"adam_m/readout.bias": good[biases]},
        f"{biases!r} has shape [2] where [1] is needed": {biases: np.zeros(2, np.float32)},
        f"{biases!r} has type float64 where float32 is needed": {biases: np.zeros(1)},
        "'steps' has type float64 where int64 is needed": {"steps": np.asarray(3.0)},
        "'steps' is -1, and cannot be negative": {"steps": np.asarray(-1)},
    }
    for said, change in refused.items():
        with pytest.raises(ParameterError) as caught:
            mine.load_state(other | change)
        assert str(caught.value).endswith(said)
    with pytest.raises(ParameterError, match=r"needs 'adam_v/readout.biases' \[1\], which is not given"):
        mine.load_state({name: array for name, array in other.items() if name != biases})
    for name, value in mine.export_state().items():
        np.testing.assert_array_equal(value, good[name], err_msg=name)
