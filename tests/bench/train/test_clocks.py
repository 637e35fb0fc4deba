"""What each clock of a record counts, by a clock that moves when it is told to."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records.store import Store
from bench.train import clocks
from bench.train.clocks import Stopwatch
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import KnownLearner


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
    made = SetClock()
    monkeypatch.setattr(clocks, "time", made)
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
    """The first step takes 10 s, later ones 1, 2 and 6 s; an evaluated batch half a second."""

    def pace(self, clock: SetClock) -> Paced:
        steps = iter((10.0, 1.0, 2.0, 6.0))
        self.called = lambda name: clock.advance(next(steps) if name == "train_step" else 0.5)
        return self


def test_the_first_step_is_apart_and_evaluations_are_in_no_step(
    clock: SetClock, run_known: RunKnown, store: Store
) -> None:
    record = run_known(Paced().pace(clock))
    assert record.compile_seconds == 10
    assert record.train_seconds == 1 + 2 + 6
    assert record.step_milliseconds == 2000, "the median of the later steps"
    assert record.sequences_per_second == 4 / 2
    assert record.evaluate_seconds == 0.5 * 2 * (4 + 2), "two batches, at four validations and two tests"
    folder = store.folder_of(record.trial_id)
    with np.load(folder / "steps.npz") as steps:
        assert steps["step_milliseconds"].tolist() == [10_000, 1000, 2000, 6000]
        assert steps["batch_milliseconds"].shape == (4,)
    names, *rows = (folder / "curve.csv").read_text().splitlines()
    place = names.split(",").index("train_seconds")
    assert [float(row.split(",")[place]) for row in rows] == [10, 11, 13, 19]


def test_a_lone_step_is_its_own_median(clock: SetClock, run_known: RunKnown) -> None:
    record = run_known(Paced().pace(clock), protocol={"steps": 1})
    assert (record.compile_seconds, record.train_seconds, record.step_milliseconds) == (10, 0, 10_000)
