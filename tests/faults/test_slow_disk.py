"""A disk that takes seconds for each change: no lease goes unseen, no trial counts as stalled, and it is told.

The disk moves a clock instead of taking its time.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.launch import scheduler
from bench.launch.executor import Event, Handle
from bench.launch.patience import Patience
from bench.launch.process import recorded
from bench.launch.process.heard import Heard, Message
from bench.launch.process.recorded import ENDED, run_recorded
from bench.launch.running import run_sweep
from bench.launch.waiting import Waiting
from bench.machine.disk import write_text
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt
from bench.records.running.leases import GONE_SECONDS, LEASES, Holder, Watch
from bench.records.running.lone_folder import LoneFolder
from bench.records.store import Store
from bench.train.progress import Life
from tests.countdown.passing import Clock
from tests.faults.fake_learner import FakeExecutor, expected
from tests.faults.points import Changes
from tests.scale.measured import sweep_of

TRIALS = 12
# Of a disk that is far from gone: what a trial's start writes takes less than a minute.
CHANGE_SECONDS = 4.0
# No process has this number, so that it uses no processor.
NO_PROCESS = 2**30


class Machine:
    """Another machine's look at the leases, whenever the disk has taken a change."""

    def __init__(self, results: Path, clock: Clock) -> None:
        self._leases = results / LEASES
        self._clock = clock
        self._watch = Watch(clock)
        self.quiet_seconds = 0.0
        self.changes = 0

    def look(self, event: str) -> None:
        self.changes += 1
        self._clock.seconds += CHANGE_SECONDS
        for path in self._leases.glob("*/[0-9]*.json"):
            self.quiet_seconds = max(self.quiet_seconds, self._watch.quiet_seconds(path))


class OneAfterTheOther(FakeExecutor):
    """Starts trials at once, and has one of them learn at each look."""

    def _learned(self, trial: Trial, attempt: Attempt) -> Callable[[Handle], Event]:
        learned = super()._learned
        return lambda handle: learned(trial, attempt)(handle)

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        if not self._running:
            return []
        first = self._running.pop(0)
        return [first.ended(first)]


@pytest.fixture(scope="module")
def slow_disk() -> Callable[[Callable[[str], None]], AbstractContextManager[None]]:
    told: list[Callable[[str], None]] = []
    changes = Changes(at=1, act=lambda event: told[-1](event), lasting=True)
    changes.install()  # once: Python keeps what hears of them until it ends

    @contextmanager
    def slow(act: Callable[[str], None]) -> Iterator[None]:
        told.append(act)
        changes.open = True
        try:
            yield
        finally:
            changes.open = False

    return slow


def test_leases_are_shown_to_live_while_many_trials_are_started(
    tmp_path: Path,
    slow_disk: Callable[[Callable[[str], None]], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, sweep = Clock(), sweep_of(TRIALS)
    monkeypatch.setattr("bench.launch.duration.estimate.slowdown", lambda: 1.0)
    monkeypatch.setattr(scheduler.time, "monotonic", clock)
    other = Machine(tmp_path, clock)
    with slow_disk(other.look):
        counts = run_sweep(
            sweep,
            store=Store(tmp_path),
            data=tmp_path,
            executor=OneAfterTheOther(slots=TRIALS, checkpoints=False),
            console=Console(file=io.StringIO()),
            checks=False,
        )
    assert counts == {"ok": TRIALS}
    assert other.changes * CHANGE_SECONDS > 2 * GONE_SECONDS, "else it was no slow disk"
    assert other.quiet_seconds < GONE_SECONDS
    for record in Store(tmp_path).survey().records.values():
        assert len(record.attempts) == 1
        assert record.quality == expected(record.trial)["quality"]


def test_leases_are_shown_to_live_while_others_are_looked_at(tmp_path: Path) -> None:
    """Of thousands of trials that another run holds, each look may take its time."""
    trials, looks = sweep_of(5).trials, []
    for trial in trials:
        folder = tmp_path / LEASES / trial.id
        folder.mkdir(parents=True)
        holder = Holder(machine="another", process_id=1, process_start=1)
        (folder / "1.json").write_text(holder.model_dump_json())
    waiting = Waiting(trials, store=Store(tmp_path), before={}, command="", workers=1)
    assert waiting.take(shared=lambda trial, record: None, between=lambda: looks.append(1)) is None
    assert len(looks) >= 4


class Ear:
    """Hears a trial as the process that started it does, and looks whether it counts as stalled."""

    def __init__(self, clock: Clock, *, stall_seconds: float) -> None:
        self._heard = Heard(clock=clock)
        self._stall_seconds = stall_seconds
        self.stalled = False

    def look(self) -> None:
        self.stalled |= self._heard.stalled(self._stall_seconds, process_id=NO_PROCESS)

    def tell(self, message: Message) -> None:
        self._heard.hear(message, process_id=NO_PROCESS)


@pytest.mark.parametrize("seconds", [20.0, 40.0])
def test_a_trial_that_waits_for_its_disk_lives_as_long_as_that_answers(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files come one after the other, once it has said that it computes; one answer may take half a minute."""
    clock = Clock()
    ear = Ear(clock, stall_seconds=30.0)

    def sync(handle: int) -> None:
        clock.seconds += seconds
        ear.look()

    def run_trial(trial: Trial, *, store: LoneFolder, alive: Callable[[Life], None], **rest: object) -> None:
        alive(Life(computing=True))
        for name in ("curve.csv", "best.npz", "final.npz"):
            write_text(store.running / name, name)

    monkeypatch.setattr("bench.train.training.run_trial", run_trial)
    monkeypatch.setattr(recorded, "_redirect_output", lambda path: None)
    monkeypatch.setattr(recorded.signal, "signal", lambda number, answer: None)
    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr("bench.machine.disk.time.monotonic", clock)
    trial = sweep_of(1).trials[0]
    folder = LoneFolder(tmp_path, trial_id=trial.id)
    assert run_recorded(trial, store=folder, watcher=ear, data=tmp_path, threads=1) == ENDED
    assert (tmp_path / "final.npz").read_text() == "final.npz"
    assert ear.stalled == (seconds > 30.0)


def test_a_disk_that_does_not_answer_is_told_while_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however often: the second trial's files take as long."""
    told, sync = threading.Event(), os.fsync
    waited: list[bool] = []

    class Listening(Console):
        def print(self, *objects: object, **how: Any) -> None:
            super().print(*objects, **how)
            if "the disk has not taken for 0.05 seconds" in str(objects[0]):
                told.set()

    def slow_sync(handle: int) -> None:
        if LEASES in os.readlink(f"/proc/self/fd/{handle}"):
            waited.append(told.wait(20.0))
        sync(handle)

    monkeypatch.setattr("bench.launch.duration.estimate.slowdown", lambda: 1.0)
    monkeypatch.setattr(scheduler, "Patience", partial(Patience, seconds=0.05))
    monkeypatch.setattr("bench.records.running.leases.os.fsync", slow_sync)
    said = io.StringIO()
    console = Listening(file=said)
    executor = FakeExecutor(slots=1, checkpoints=False)
    run_sweep(sweep_of(2), store=Store(tmp_path), data=tmp_path, executor=executor, console=console, checks=False)
    assert waited == [True, True]
    assert said.getvalue().count(f"{tmp_path}: the disk has not taken for 0.05 seconds") == 1
