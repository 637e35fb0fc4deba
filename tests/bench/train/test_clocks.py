"""What each clock of a record counts, by a clock that moves when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.records.store import Store
from bench.tasks.base import TaskOptions
from bench.train import clocks, gathered, loop, results, training
from bench.train.clocks import MOST_PASSES, SECONDS, Stopwatch
from bench.train.inference import inference_times
from impls.contract import Batch, Evaluation, StepResult
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import Known, KnownLearner, Mean, known_trial, outcomes, part_of


class SetClock:
    """Stands where the module `time` stands; goes on as `advance` says."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Each step waits for its batch: 64 seconds the first, then 4, none, 11. All else but the learner takes long."""
    made = SetClock()

    def prefetch(make: Callable[[int], Batch], *, first: int, end: int) -> Iterator[tuple[Batch, float]]:
        for step in range(first, end):
            made.advance((64, 4, 0, 11)[step])
            yield make(step), 0.25

    def slow(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: [made.advance(1000), function(*given, **named)][1]

    monkeypatch.setattr(clocks, "time", made)
    monkeypatch.setattr(loop, "prefetch", prefetch)
    slowly = slow(training.write_arrays)
    for module in (gathered, results, training):
        monkeypatch.setattr(module, "write_arrays", slowly)
    monkeypatch.setattr(Known, "rows", slow(Known.rows))
    monkeypatch.setattr(Mean, "add", slow(Mean.add))
    return made


def test_a_stopwatch_adds_up_its_laps_also_one_that_raises(clock: SetClock) -> None:
    watch = Stopwatch()
    with watch.running():
        clock.advance(2)
    clock.advance(50)

    def fail() -> None:
        clock.advance(3)
        raise RuntimeError

    with pytest.raises(RuntimeError), watch.running():
        fail()
    assert (watch.seconds, watch.laps) == (5, [2, 3])


class Paced(KnownLearner):
    """The first step takes 16 s, later ones 1, 2 and 6 s; an evaluation an eighth of a second for every sequence."""

    clock: SetClock

    def paced_by(self, clock: SetClock) -> Paced:
        self.clock = clock
        steps = iter((16, 1, 2, 6))
        self.called = lambda name: clock.advance(next(steps) if name == "train_step" else 0)
        return self

    def evaluate(self, batch: Batch) -> Evaluation:
        self.clock.advance(batch.size / 8)
        return super().evaluate(batch)


# The test batches are made in no clock, but with the known prefetch training's are made in the wait for them.
MADE = 1000


def test_steps_waits_and_evaluations_are_apart(clock: SetClock, run_known: RunKnown, store: Store) -> None:
    record = run_known(Paced().paced_by(clock))
    assert record.compile_seconds == 16
    assert record.train_seconds == 1 + 2 + 6
    assert record.step_milliseconds == 2000, "the median of the later steps"
    assert record.sequences_per_second == 4 / 2
    assert record.wait_milliseconds == 1000 * (MADE + (4 + 0 + 11) / 3), "the mean of all waits but the first"
    assert record.batch_milliseconds == 250
    assert record.evaluate_seconds == 6 / 8 * (4 + 2), "six sequences, at four validations and two tests"
    folder = store.folder_of(record.trial_id)
    with np.load(folder / "steps.npz") as steps:
        assert steps["step_milliseconds"].tolist() == [16_000, 1000, 2000, 6000]
        assert (steps["wait_milliseconds"] / 1000 - MADE).tolist() == [64, 4, 0, 11]
        assert steps["batch_milliseconds"].tolist() == [250] * 4
    names, *rows = (folder / "curve.csv").read_text().splitlines()
    place = names.split(",").index("train_seconds")
    assert [float(row.split(",")[place]) for row in rows] == [16, 17, 19, 25]


def test_a_lone_step_is_compilation_and_nothing_is_told_of_later_ones(clock: SetClock, run_known: RunKnown) -> None:
    record = run_known(Paced().paced_by(clock), protocol={"steps": 1})
    assert (record.compile_seconds, record.train_seconds) == (16, 0)
    assert (record.step_milliseconds, record.sequences_per_second, record.wait_milliseconds) == (None, None, None)


def test_inference_is_of_a_batch_and_of_single_sequences_at_the_reported_parameters(
    clock: SetClock, run_known: RunKnown
) -> None:
    learner = Paced(outcomes=outcomes("validation", 0.5, 0.9, 0.7, 0.6)).paced_by(clock)
    pace, parameters = learner.called, []
    learner.called = lambda name: [pace(name), parameters.append(learner.steps)][1]
    record = run_known(learner)
    assert record.inference_milliseconds == 1000 * 4 / 8
    assert record.inference_milliseconds_batch_1 == 1000 / 8
    of_passes = 3 * 4 / 8 + 9 / 8
    assert record.timing_seconds == 4 * MADE + of_passes, "the making of four batches too; steps take no time here"
    timed = learner.batches[-(2 + 8 + 2) :]
    assert [batch.size for batch in timed] == [4] * 3 + [1] * 9, "a warm-up, then a second of passes"
    assert {part_of(batch) for batch in timed} == {"test"}
    assert [float(batch.targets[0, 0]) for batch in timed[4:]] == [0, 1, 2, 3] * 2, "one sequence after another"
    assert parameters[-12:] == [2] * 12, "the best validation is after two steps"


class Warming(KnownLearner):
    """The first evaluation of a size compiles; then each pass is slower than the one before."""

    def evaluate(self, batch: Batch) -> Evaluation:
        known = [other.size for other in self.batches].count(batch.size)
        self.clock.advance(known**2 / 8192 if known else 300)
        return super().evaluate(batch)

    clock: SetClock


def test_what_compiles_is_not_timed_and_the_median_is_taken(clock: SetClock) -> None:
    learner = Warming()
    learner.clock = clock
    times = inference_times(known_trial(), Known(TaskOptions(), data=Path()), learner)
    assert sum(number**2 for number in range(1, MOST_PASSES + 1)) / 8192 < SECONDS
    middle = (1 + MOST_PASSES) // 2
    assert times == dict.fromkeys(("inference_milliseconds", "inference_milliseconds_batch_1"), 1000 * middle**2 / 8192)


class Drifting(KnownLearner):
    """A step takes as many seconds / 32 as the parameters have been trained for; at a rate of 0 they stay."""

    clock: SetClock

    def train_step(self, batch: Batch, *, learning_rate: float | None = None) -> StepResult:
        self.clock.advance(self.steps / 32)
        trained = self.steps
        result = super().train_step(batch, learning_rate=learning_rate)
        self.steps = trained if learning_rate == 0 else self.steps
        return result


def test_the_step_of_the_reported_parameters_is_timed_apart(clock: SetClock, run_known: RunKnown) -> None:
    learner = Drifting(outcomes=outcomes("validation", 0.5, 0.7, 0.9, 0.6))
    learner.clock = clock
    record = run_known(learner, times_reported_step=True)
    assert record.best_step == 3
    assert record.step_milliseconds == 1000 * 2 / 32, "the median of steps 2 to 4, each at the parameters before it"
    assert record.reported_step_milliseconds == 1000 * 3 / 32
    assert record.steps == 4, "what is timed afterwards is no training"
    timed = len(learner.rates) - 4
    assert timed == 1 + -(-32 // 3), "a warm-up, then a second of steps"
    assert learner.rates[4:] == [0.0] * timed
    assert learner.export_parameters() == {"steps": 3}, "the parameters stay"
    assert {part_of(batch) for batch in learner.batches[-timed:]} == {"train"}


def test_a_diverged_trial_has_no_times_after_training(run_known: RunKnown) -> None:
    record = run_known(KnownLearner(train_losses={2: float("nan")}), times_reported_step=True)
    assert (record.inference_milliseconds, record.inference_milliseconds_batch_1) == (None, None)
    assert record.reported_step_milliseconds is None


@pytest.mark.parametrize(
    ("seen", "told"),
    [((0, 1, 3, 2, 0), 3), ((0, 0, 0, 0, 0), 0), ((0, 0, None, 0, 0), None), ((0, None, 2, None, 0), 2)],
)
def test_a_record_tells_the_most_trials_that_ran_beside_it(
    seen: tuple[int | None, ...], told: int | None, run_known: RunKnown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that were seen before, while and after it trained; where one look fails it may not have been alone."""
    looks = iter(seen)
    monkeypatch.setattr(training.Neighbours, "count", lambda self: next(looks))
    monkeypatch.setattr(loop, "LOOK_SECONDS", 0)
    assert run_known(KnownLearner(), protocol={"steps": 3}).beside == told
