"""Parity of the learners: equal parameters in, equal training steps, equal evaluations out (layers 1 and 4)."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.tasks.protocol import Protocol
from bench.tasks.randomness import generator
from impls.contract import (
    DEFAULT_ENGINE,
    ENGINES,
    FRAMEWORKS,
    Array,
    Batch,
    CellSpec,
    Learner,
    ModelSpec,
    OptimizerSpec,
    build_learner,
)
from impls.errors import ParameterError
from impls.parameters import initial_parameters, model_shapes
from tests.impls.frameworks import array, tensor

STEPS = 10
BATCH, TIME = 5, 7
PLAIN = "random skip, regression"

CASES: dict[str, ModelSpec] = {
    "random skip, regression": ModelSpec(
        cell=CellSpec(cell="lstm", input_size=3, units=(4,)),
        output_size=2,
        loss="mean_squared_error",
    ),
    "stack, Bernoulli gate, every step, mask": ModelSpec(
        cell=CellSpec(cell="skip_gru", input_size=3, units=(4, 3), gate="bernoulli", update_bias=-0.5),
        output_size=3,
        loss="binary_cross_entropy",
        readout="every",
        budget_cost=0.01,
    ),
    "layer norm, classes, L2 budget, mask": ModelSpec(
        cell=CellSpec(cell="skip_lstm", input_size=3, units=(4,), layer_norm=True, update_bias=-1.0),
        output_size=3,
        loss="cross_entropy",
        budget="l2",
        budget_cost=0.01,
        budget_target=3.0,
    ),
    "tokens, dropout, L1 budget, lower gate layer": ModelSpec(
        cell=CellSpec(cell="skip_gru", input_size=3, units=(3, 4), gate_layer=0, initial_state="zeros"),
        output_size=3,
        loss="cross_entropy",
        budget="l1",
        budget_cost=0.1,
        budget_target=4.0,
        vocabulary_size=11,
    ),
}


def make_batch(name: str, step: int) -> Batch:
    spec, draw = CASES[name], generator(seed=1, stream=name, step=step)
    inputs: Any = draw.standard_normal((BATCH, TIME, 3)).astype(np.float32)
    if spec.vocabulary_size:
        inputs = draw.integers(0, spec.vocabulary_size, (BATCH, TIME)).astype(np.int32)
    targets: Any = draw.integers(0, 3, BATCH).astype(np.int32)
    if spec.loss == "mean_squared_error":
        targets = draw.standard_normal((BATCH, 2)).astype(np.float32)
    if spec.loss == "binary_cross_entropy":
        targets = draw.integers(0, 2, (BATCH, TIME, 3)).astype(np.float32)
    lengths = draw.integers(1, TIME + 1, (BATCH, 1))
    uniform = draw.random((BATCH, TIME)).astype(np.float32)
    return Batch(
        inputs=inputs,
        targets=targets,
        mask=(np.arange(TIME) < lengths).astype(np.float32) if "mask" in name else None,
        updates=(uniform < 0.6).astype(np.float32) if "random skip" in name else None,
        gate_noise=uniform if spec.cell.gate == "bernoulli" else None,
        dropout=(draw.random((BATCH, 4)) < 0.8).astype(np.float32) / np.float32(0.8) if "dropout" in name else None,
    )


def make_learner(framework: str, spec: ModelSpec, *, engine: str = DEFAULT_ENGINE, **optimizer: float) -> Learner:
    return build_learner(
        framework,
        model=spec,
        optimizer=OptimizerSpec(**{"learning_rate": 1e-2, "clip_norm": 0.1, **optimizer}),
        parameters=initial_parameters(spec, seed=3),
        engine=engine,
    )


def in_float64(spec: ModelSpec) -> ModelSpec:
    return replace(spec, dtype="float64")


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        pytest.param(name, engine, marks=pytest.mark.slow if engine == "reference" and name != PLAIN else ())
        for name in CASES
        for engine in ENGINES
    ],
)
def test_ten_training_steps_leave_equal_parameters(name: str, engine: str) -> None:
    spec = in_float64(CASES[name])
    learners = {framework: make_learner(framework, spec, engine=engine) for framework in FRAMEWORKS}
    initial = initial_parameters(spec, seed=3)
    for learner in learners.values():  # layer 1: names, shapes, values
        exported = learner.export_parameters()
        assert {key: value.shape for key, value in exported.items()} == model_shapes(spec)
        for key, value in exported.items():
            np.testing.assert_array_equal(value, initial[key].astype(np.float64))

    for step in range(STEPS):
        batch = make_batch(name, step)
        first, second = (learner.train_step(batch) for learner in learners.values())
        assert first.loss == pytest.approx(second.loss, rel=1e-12)
        assert first.budget_loss == pytest.approx(second.budget_loss, rel=1e-12)
        assert first.updates == pytest.approx(second.updates, rel=1e-12)
    first_parameters, second_parameters = (learner.export_parameters() for learner in learners.values())
    for key, value in first_parameters.items():
        np.testing.assert_allclose(value, second_parameters[key], rtol=1e-9, atol=1e-12, err_msg=key)
        if key != "embedding.weights":
            assert (value != initial[key]).any(), f"{key} was not trained"

    batch = make_batch(name, STEPS)
    first_result, second_result = (learner.evaluate(batch) for learner in learners.values())
    np.testing.assert_allclose(first_result.predictions, second_result.predictions, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(first_result.gates, second_result.gates)
    if batch.mask is not None:
        assert (first_result.gates[batch.mask == 0] == 0).all()


@pytest.mark.parametrize("engine", ["fast", pytest.param("reference", marks=pytest.mark.slow)])
def test_ten_training_steps_with_a_cosine_leave_equal_parameters(engine: str) -> None:
    name = "random skip, regression"
    spec = in_float64(CASES[name])
    learners = [make_learner(framework, spec, engine=engine) for framework in FRAMEWORKS]
    unscheduled = make_learner("pytorch", spec, engine=engine)
    protocol = Protocol(steps=STEPS, learning_rate=1e-2, learning_rate_schedule="cosine")
    for step in range(STEPS):
        if step == STEPS - 1:
            before = [learner.export_parameters() for learner in learners]
        for learner in learners:
            rate = protocol.learning_rate_of(step, steps_per_epoch=1)
            learner.train_step(make_batch(name, step), learning_rate=rate)
        unscheduled.train_step(make_batch(name, step))
    first, second = (learner.export_parameters() for learner in learners)
    other = unscheduled.export_parameters()
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=1e-9, atol=1e-12, err_msg=key)
        assert (np.abs(value - other[key]) > 1e-6).any(), f"{key} had the whole rate at every step"
    for learner, then in zip(learners, before, strict=True):
        for key, value in learner.export_parameters().items():
            np.testing.assert_array_equal(value, then[key], err_msg=f"{key}: the last step's rate is zero")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_rate_is_of_its_step_alone(framework: str) -> None:
    """In the first step Adam moves by the rate, whatever the gradient; a step without one has the optimizer's."""
    spec, batch = in_float64(CASES["random skip, regression"]), make_batch("random skip, regression", 0)

    def moved(learner: Learner, **rate: float) -> Array:
        before = learner.export_parameters()["readout.biases"]
        learner.train_step(batch, **rate)
        return np.abs(learner.export_parameters()["readout.biases"] - before)

    learner = make_learner(framework, spec, engine="reference")
    start = learner.export_state()
    np.testing.assert_allclose(moved(learner, learning_rate=5e-3), 5e-3, rtol=1e-3)
    learner.load_state(start)
    assert moved(learner, learning_rate=0.0).max() == 0
    assert moved(learner).min() > 5e-3, "the rate of the step before does not stay"


@pytest.mark.slow
def test_float32_training_stays_together() -> None:
    name = "random skip, regression"
    learners = [make_learner(framework, CASES[name]) for framework in FRAMEWORKS]
    for step in range(STEPS):
        for learner in learners:
            learner.train_step(make_batch(name, step))
    first, second = (learner.export_parameters() for learner in learners)
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], atol=2e-6, err_msg=key)


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_dropout_multiplies_what_the_readout_reads(framework: str, readout: str) -> None:
    """Of one sequence nothing is left but the readout's biases, of another all, of the third twice as much."""
    spec = ModelSpec(
        cell=CellSpec(cell="gru", input_size=3, units=(4,)),
        output_size=2,
        loss="binary_cross_entropy",
        readout=readout,
        dtype="float64",
    )
    draw = np.random.default_rng(0)
    biases = draw.standard_normal(2)
    module = importlib.import_module(f"impls.{framework}.model")
    parameters = initial_parameters(spec, seed=3) | {"readout.biases": biases}
    model = module.Model(spec, parameters=parameters, engine="reference")
    inputs = tensor(framework, draw.standard_normal((3, 2, 3)))
    dropout = tensor(framework, np.repeat([[0.0], [1.0], [2.0]], 4, axis=1))
    whole = array(model({"inputs": inputs}).outputs) - biases
    dropped = array(model({"inputs": inputs, "dropout": dropout}).outputs) - biases
    for left, found, full in zip((0, 1, 2), dropped, whole, strict=True):
        np.testing.assert_allclose(found, left * full, rtol=1e-9, atol=1e-12)
    assert np.abs(whole).min() > 1e-6


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_step_is_adam_with_clipping(framework: str) -> None:
    """One step against the formula, from the gradient of a linear readout that can be written down."""
    spec = in_float64(
        ModelSpec(cell=CellSpec(cell="lstm", input_size=3, units=(4,)), output_size=2, loss="mean_squared_error")
    )
    batch = make_batch("random skip, regression", 0)
    plain, clipped = (make_learner(framework, spec, engine="reference", clip_norm=norm) for norm in (0.0, 1e-9))
    initial = plain.export_parameters()
    error = plain.evaluate(batch).predictions - batch.targets
    gradient = 2 * error.mean(axis=0) / 2  # of the readout's biases; the mean is over batch and outputs
    plain.train_step(batch)
    step = plain.export_parameters()["readout.biases"] - initial["readout.biases"]
    # In the first step α √(1 − β₂) / (1 − β₁) · (1 − β₁) g / (√(1 − β₂) |g| + ε).
    expected = -1e-2 * gradient * np.sqrt(1e-3) / (np.sqrt(1e-3) * np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(step, expected, rtol=1e-6)
    # A gradient clipped far below ε moves far less than the learning rate.
    clipped.train_step(batch)
    moved = clipped.export_parameters()["readout.biases"] - initial["readout.biases"]
    assert 0 < np.abs(moved).max() < 0.02 * np.abs(step).max()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_parameters_that_do_not_fit_are_refused(framework: str) -> None:
    spec = CASES["random skip, regression"]
    learner = make_learner(framework, spec)
    good = learner.export_parameters()
    with pytest.raises(ParameterError, match=r"has no parameter 'layers.0.weigths'; did you mean"):
        learner.load_parameters(good | {"layers.0.weigths": good["layers.0.weights"]})
    with pytest.raises(ParameterError, match=r"needs the parameter 'readout.biases' \[2\]"):
        learner.load_parameters({name: value for name, value in good.items() if name != "readout.biases"})
    with pytest.raises(ParameterError, match=r"'readout.biases' has shape \[3\] where \[2\] is needed"):
        learner.load_parameters(good | {"readout.biases": np.zeros(3)})


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_budget_gradient_is_lambda_times_the_updates(framework: str) -> None:
    """With λ alone in the loss, raising the gate's bias can only cost: its gradient is not zero."""
    spec = in_float64(CASES["layer norm, classes, L2 budget, mask"])
    learner = make_learner(framework, spec, engine="fast", clip_norm=0.0)
    before = learner.export_parameters()["update_gate.biases"]
    learner.train_step(make_batch("layer norm, classes, L2 budget, mask", 0))
    assert (learner.export_parameters()["update_gate.biases"] != before).all()


@pytest.mark.gpu
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_gpu_learns_what_the_cpu_learns(framework: str, cuda: None) -> None:
    name = "random skip, regression"
    results = []
    for device in ("cpu", "cuda"):
        learner = build_learner(
            framework,
            model=in_float64(CASES[name]),
            optimizer=OptimizerSpec(learning_rate=1e-2),
            parameters=initial_parameters(CASES[name], seed=3),
            device=device,
        )
        learner.train_step(make_batch(name, 0))
        results.append(learner.export_parameters())
    for key, value in results[0].items():
        np.testing.assert_allclose(value, results[1][key], rtol=1e-9, atol=1e-12, err_msg=key)


@pytest.mark.parametrize(
    ("framework", "engine", "dtype", "implementation"),
    [
        ("pytorch", "reference", "float32", "reference"),
        ("pytorch", "fast", "float32", "kernels"),
        ("pytorch", "fast", "float64", "kernels"),
        ("pytorch", "native", "float32", "native"),
        ("tensorflow", "reference", "float32", "reference"),
        ("tensorflow", "fast", "float32", "rounds"),
        ("tensorflow", "native", "float32", "native"),
    ],
)
def test_a_learner_tells_what_runs(
    framework: str, engine: str, dtype: str, implementation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told against what `unroll` comes to."""
    ran: list[str] = []

    def watch(place: Any, name: str, told: str) -> None:
        original = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *args, **options: [ran.append(told), original(*args, **options)][1])

    if framework == "pytorch":
        import torch

        from impls.pytorch.engines import fast
        from impls.pytorch.engines import reference as reference_engine

        watch(torch, "lstm", "native")

        for name, function in (("kernels", fast.KernelUnroll), ("operations", fast.OperationsUnroll)):
            watch(function, "forward", name)
    else:
        import keras

        from impls.tensorflow.engines import fast
        from impls.tensorflow.engines import reference as reference_engine

        watch(fast, "run_forward", "rounds")
        watch(keras.layers.LSTM, "call", "native")
    if engine == "reference":
        watch(reference_engine, "stack_step", "reference")
    name = "random skip, regression"
    spec = replace(CASES[name], dtype=dtype)
    learner = build_learner(
        framework,
        model=spec,
        optimizer=OptimizerSpec(),
        parameters=initial_parameters(spec, seed=3),
        engine=engine,
    )
    learner.train_step(replace(make_batch(name, 0), updates=None))
    assert learner.implementation == implementation
    assert set(ran) == {implementation}
