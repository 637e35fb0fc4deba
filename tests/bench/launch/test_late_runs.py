"""Runs that stood still while another took their trials over, and trials that were killed when they were done."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from bench.launch.executor import Event, Handle, Slot
from bench.launch.scheduler import run_trials
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import Holder, Lease, leased_trials
from bench.records.store import Store
from tests.bench.launch.test_launch import Watcher, trial
from tests.bench.records.test_records import record
from tests.faults.fake_learner import FakeExecutor, expected, learn


def taken_over(lease: Lease) -> Lease:
    """The lease that another run has taken over, since this one was not heard of."""
    other = Lease(folder=lease.folder, number=lease.number + 1, token="another")
    other.path.write_text(Holder.this_process(token="another").model_dump_json())
    return other


def end_elsewhere(results: Path, lease: Lease, made: Trial) -> None:
    other = Attempt(results, lease=lease)
    other.start()
    other.write(record(made, quality=0.5))
    other.end()


@pytest.mark.parametrize("moment", ["start", "begin", "write"])
def test_a_run_that_is_late_counts_what_the_other_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before a trial's folder is there, before it begins, and before its record is written."""
    made, watcher = trial(), Watcher()
    original = getattr(Attempt, moment)

    def late(attempt: Attempt, *values: Any, **named: Any) -> Any:
        monkeypatch.undo()
        if moment == "start":
            attempt.results.joinpath("running").write_text("in the way of a folder")
        other = taken_over(attempt.lease)
        if moment != "start":
            end_elsewhere(tmp_path, other, made)
            return original(attempt, *values, **named)
        try:
            return original(attempt, *values, **named)
        finally:
            attempt.results.joinpath("running").unlink()
            end_elsewhere(tmp_path, other, made)

    monkeypatch.setattr(Attempt, moment, late)
    run_trials([made], executor=FakeExecutor(), store=Store(tmp_path), display=watcher)
    assert watcher.events[-1] == ("shared", made.id)
    assert watcher.records[made.id].quality == 0.5
    assert not attempts(tmp_path)
    assert not leased_trials(tmp_path)


class KilledWhenDone(FakeExecutor):
    """Its trials are killed between their records and the places of these."""

    def start(self, trial: Trial, attempt: Attempt, slot: Slot):
        def die(*_: object, **__: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        attempt._place = die
        return super().start(trial, attempt, slot)

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        for each in self._running:
            del each.attempt._place  # of the child alone
        return super().events(seconds=seconds, wake=wake)

    def stop(self, handles: Sequence[Handle]) -> None:
        super().stop(handles)


def test_a_trial_that_was_killed_when_its_record_was_written_is_not_run_again(tmp_path: Path) -> None:
    made, watcher = trial(), Watcher()
    run_trials([made], executor=KilledWhenDone(forks=True), store=Store(tmp_path), display=watcher, retries=2)
    assert [event for event, _ in watcher.events].count("started") == 1
    told = watcher.records[made.id]
    assert {name: getattr(told, name) for name in expected(made)} == expected(made)
    assert not attempts(tmp_path)


def test_trials_that_another_run_holds_are_passed_by_and_come_last(tmp_path: Path) -> None:
    held, free = trial(seed=0), [trial(seed=seed) for seed in (1, 2)]
    (tmp_path / "leases" / held.id).mkdir(parents=True)
    lease = Attempt(tmp_path, lease=taken_over(Lease(folder=tmp_path / "leases" / held.id, number=0, token="")))
    watcher = Watcher()

    class Ending(FakeExecutor):
        def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
            if not self._running:  # what is left is held by the other
                lease.start()
                learn(held, lease)
                lease.end()
            return super().events(seconds=seconds, wake=wake)

    run_trials([held, *free], executor=Ending(slots=1), store=Store(tmp_path), display=watcher)
    assert [trial_id for event, trial_id in watcher.events if event == "started"] == [one.id for one in free]
    assert watcher.events[-1] == ("shared", held.id)
