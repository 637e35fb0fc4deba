"""The estimate before the first trial: a model of the sizes at this machine's pace, or a record where there is one."""

from __future__ import annotations

import itertools
import math
import statistics
from pathlib import Path

import pytest

from bench.errors import SweepError, UserError
from bench.launch.duration import estimate
from bench.launch.duration.calibration import CALIBRATION_SECONDS, ROUND_SECONDS, slowdown
from bench.launch.duration.estimate import Estimate, Lack
from bench.launch.preparation import prepare_data
from bench.plan.trial import build_trial
from bench.records.listing import read_listing
from bench.records.record import Record, identity
from bench.records.store import Store
from bench.tasks.adding import Adding
from impls.contract import FRAMEWORKS

TRIAL = build_trial({"task": "adding", "cell": "lstm", "framework": "pytorch"}, where="test")


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_slowdown_is_the_time_of_a_round_against_the_quiet_machines(factor: float) -> None:
    seconds = itertools.count()
    assert slowdown(clock=lambda: next(seconds) * ROUND_SECONDS * factor, work=lambda: None) == pytest.approx(
        factor, rel=2 * ROUND_SECONDS * factor / CALIBRATION_SECONDS
    )


@pytest.mark.parametrize("sweep", ["digits", "table1-cpu"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_half_of_the_committed_configurations_took_what_is_estimated_within_a_half(
    sweep: str, framework: str, tmp_path: Path
) -> None:
    """Of each the fastest seed counts, since others had company on the machine."""
    reference = Path(__file__).resolve().parents[3] / "results" / "reference"
    records = Store(reference).survey(read_listing(reference, sweep).trials).records.values()
    fastest: dict[str, tuple[float, float]] = {}
    for record in records:
        guess = estimate.estimate_seconds(record.trial, data=tmp_path)
        if record.trial.framework == framework:
            assert guess is not None
            assert record.total_seconds is not None
            key = estimate.but_for_seed(record.trial)
            fastest[key] = min(fastest.get(key, (math.inf, guess)), (record.total_seconds, guess))
    assert len(fastest) >= 10
    assert 1 / 1.5 < statistics.median(guess / seconds for seconds, guess in fastest.values()) < 1.5


@pytest.mark.parametrize(("engine", "share"), [("fast", 0.5), ("reference", 1.0)])
def test_steps_that_are_known_to_be_skipped_cost_a_fast_engine_nothing(
    engine: str, share: float, tmp_path: Path
) -> None:
    def products(**changes: object) -> float:
        """By their difference at two sizes of batch, since nothing else depends on it."""
        one, two = (
            estimate.estimate_seconds(
                build_trial(
                    {"task": "adding", "cell": "lstm", "framework": "pytorch", "engine": engine}
                    | changes
                    | {"protocol": {"steps": 100, "batch_size": size, "evaluation_sequences": size}},
                    where="test",
                ),
                data=tmp_path,
            )
            for size in (100, 200)
        )
        assert one is not None
        assert two is not None
        return two - one

    assert products(p_skip=0.5) == pytest.approx(share * products())
    assert products(period=2) == pytest.approx(share * products())


def test_a_slower_machine_has_longer_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = estimate.estimate_seconds(TRIAL, data=tmp_path)
    assert quiet is not None
    for pace, expected in ((1.0, 1.0), (7.0, 4.0)):
        monkeypatch.setattr(estimate, "slowdown", lambda pace=pace: pace)
        guesses = estimate.estimates([TRIAL], store=Store(tmp_path), data=tmp_path)
        assert guesses == {TRIAL.id: Estimate(seconds=pytest.approx(expected * quiet))}


def test_a_record_of_another_seed_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "slowdown", lambda: pytest.fail("nothing is left to calibrate for"))
    store = Store(tmp_path)
    store.write(Record(**identity(TRIAL), status="ok", total_seconds=12.5))
    other = TRIAL.model_copy(update={"seed": 5})
    assert estimate.estimates([other], store=store, data=tmp_path) == {other.id: Estimate(seconds=12.5)}


def test_a_gpu_has_no_estimate_before_a_trial_like_it_has_run_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "slowdown", lambda: pytest.fail("the model's machine is a CPU"))
    store = Store(tmp_path)
    on_gpu = TRIAL.model_copy(update={"device": "cuda"})
    longer = build_trial(TRIAL.model_dump() | {"device": "cuda", "options": {"length": 500}}, where="test")
    store.write(Record(**identity(TRIAL), status="ok", total_seconds=12.5))
    guesses = estimate.estimates([on_gpu, longer], store=store, data=tmp_path)
    assert {guess.lack for guess in guesses.values()} == {Lack.TIMING}
    assert guesses[longer.id].seconds > 2 * guesses[on_gpu.id].seconds, "how they compare, for the time left"
    store.write(Record(**identity(on_gpu.model_copy(update={"seed": 5})), status="ok", total_seconds=0.5))
    guesses = estimate.estimates([on_gpu, longer], store=store, data=tmp_path)
    assert guesses[on_gpu.id] == Estimate(seconds=0.5)
    assert guesses[longer.id].lack == Lack.TIMING


def test_without_its_data_a_trial_has_no_estimate(tmp_path: Path) -> None:
    of_mnist = build_trial({"task": "mnist", "cell": "lstm", "framework": "pytorch"}, where="test")
    guesses = estimate.estimates([of_mnist], store=Store(tmp_path), data=tmp_path)
    assert guesses == {of_mnist.id: Estimate(seconds=0.0, lack=Lack.DATA)}


@pytest.mark.parametrize("steps", [0, 2.5])
def test_an_epoch_of_no_number_of_steps_is_one_line_before_anything_runs(
    steps: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adding, "steps_per_epoch", lambda self, batch_size: steps)
    words = f"^task adding: steps_per_epoch at a batch size of 256 is {steps} where a whole number is needed"
    with pytest.raises(SweepError, match=words):
        estimate.estimate_seconds(TRIAL, data=tmp_path)
    with pytest.raises(SweepError, match=words):
        prepare_data([TRIAL], data=tmp_path)


def test_a_length_that_its_data_tell_is_unknown_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Adding, "length", property(lambda self: int((self.data / "length").read_text())))
    assert estimate.estimate_seconds(TRIAL, data=tmp_path) is None
    with pytest.raises(UserError, match=r"^task adding: length cannot be told: FileNotFoundError"):
        prepare_data([TRIAL], data=tmp_path)
    (tmp_path / "length").write_text("50")
    assert estimate.estimate_seconds(TRIAL, data=tmp_path) is not None
