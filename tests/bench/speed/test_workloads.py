"""The benchmarks' workloads: the update ratio really set, the grid, and what workloads share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.speed.scales import SCALES, grid
from bench.speed.workloads import (
    Preparation,
    UpdateRatioError,
    Workload,
    check_updates,
    model_spec,
    parameters_of,
    random_batch,
)
from impls.contract import BASELINES, ENGINES, FRAMEWORKS, Evaluation, StepResult
from impls.kinds import skip_cells
from impls.reference import unroll

SMALL = Workload(
    framework="pytorch",
    subject="reference",
    cell="skip_lstm",
    input_size=2,
    units=3,
    length=31,
    batch_size=2,
    updates_every=10,
    training=True,
)


@pytest.mark.parametrize("cell", skip_cells())
@pytest.mark.parametrize("n", [1, 2, 3, 10, 100])
def test_the_gate_fires_at_the_first_step_and_at_every_nth_after_it(cell: str, n: int) -> None:
    workload = replace(SMALL, cell=cell, updates_every=n, length=250)
    parameters = {name: value.astype(np.float64) for name, value in parameters_of(workload).items()}
    batch = random_batch(workload)
    gates = unroll(model_spec(workload).cell, parameters, batch.inputs.astype(np.float64)).gates
    expected = np.arange(250) % n == 0
    np.testing.assert_array_equal(np.squeeze(gates), np.broadcast_to(expected, (2, 250)))
    assert workload.updates == expected.sum()


def test_inputs_are_random_and_never_zero() -> None:
    inputs = random_batch(replace(SMALL, batch_size=64)).inputs
    assert inputs.shape == (64, 31, 2)
    assert np.count_nonzero(inputs) == inputs.size
    assert inputs.std() == pytest.approx(1.0, abs=0.05)


def test_training_keeps_the_update_ratio() -> None:
    preparation = Preparation()
    for n, updates in ((10, 4), (1, 31), (2, 16)):
        workload = replace(SMALL, updates_every=n)
        step = preparation.prepare(workload).step
        results = [step() for _ in range(5)]
        assert [result.updates for result in results if isinstance(result, StepResult)] == [updates] * 5


def test_workloads_of_one_shape_compile_once() -> None:
    preparation = Preparation()
    first = preparation.prepare(SMALL)
    again = preparation.prepare(replace(SMALL, updates_every=2))
    other = preparation.prepare(replace(SMALL, length=5))
    assert again.first_seconds == first.first_seconds
    assert other.first_seconds != first.first_seconds


@pytest.mark.parametrize("subject", ["native", "products", "reference", "fast"])
@pytest.mark.parametrize("training", [True, False])
def test_a_workload_multiplies_at_its_precision(subject: str, training: bool) -> None:
    cell = "skip_lstm" if subject in ENGINES else "lstm"
    workload = replace(SMALL, subject=subject, cell=cell, updates_every=1, precision="bfloat16", training=training)
    assert "bfloat16" in str(workload)
    assert model_spec(workload).cell.precision == "bfloat16"
    rounded = Preparation().prepare(workload).step()
    whole = Preparation().prepare(replace(workload, precision="float32")).step()
    if isinstance(rounded, Evaluation):
        assert isinstance(whole, Evaluation)
        assert 1e-5 < np.abs(rounded.predictions - whole.predictions).max() < 0.1
    elif isinstance(rounded, StepResult):
        assert isinstance(whole, StepResult)
        assert rounded.loss != whole.loss


def test_another_update_ratio_than_was_set_is_refused() -> None:
    with pytest.raises(UpdateRatioError, match=r"1of10: 5 updates a sequence where 4 were set"):
        check_updates(SMALL, StepResult(loss=0.0, budget_loss=0.0, updates=5.0))
    with pytest.raises(UpdateRatioError, match="31 updates a sequence where 4 were set"):
        check_updates(SMALL, Evaluation(loss=0.0, predictions=np.zeros((2, 10)), gates=np.ones((2, 31))))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_the_full_grid_has_every_engine_and_its_baselines(framework: str, training: bool) -> None:
    full = grid(framework, scale=SCALES["full"], training=training)
    assert len(full) == len(set(full))
    sequences = {(50, 2, 256), (784, 1, 256)} | (set() if training else {(784, 1, 1)})
    assert {(one.length, one.input_size, one.batch_size) for one in full} == sequences
    for length, _, batch_size in sequences:
        here = [one for one in full if (one.length, one.batch_size) == (length, batch_size)]
        skipping = {(one.subject, one.cell, one.updates_every) for one in here if one.cell in skip_cells()}
        assert skipping == {(engine, cell, n) for engine in ENGINES for cell in skip_cells() for n in (1, 2, 10)}
        baselines = {(one.subject, one.cell) for one in here if one.subject not in ENGINES}
        assert baselines == {(name, cell) for name in BASELINES[framework] for cell in ("lstm", "gru")}


def test_a_fast_engine_is_timed_right_after_the_baselines_it_is_compared_with() -> None:
    for framework in FRAMEWORKS:
        subjects = [one.subject for one in grid(framework, scale=SCALES["quick"], training=True)]
        kinds = [*BASELINES[framework], *["fast"] * 3, *["reference"] * 3]
        assert subjects == 2 * kinds


def test_the_test_suite_runs_every_engine_with_every_cell() -> None:
    for framework in FRAMEWORKS:
        tiny = [one for training in (True, False) for one in grid(framework, scale=SCALES["tiny"], training=training)]
        assert {(one.subject, one.cell) for one in tiny if one.subject in ENGINES} == {
            (engine, cell) for engine in ENGINES for cell in ("lstm", "gru", "skip_lstm", "skip_gru")
        }
