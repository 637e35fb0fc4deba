"""A learner that learns nothing, and an executor that runs it: the harness's own work, without a framework.

It writes what a trial writes, goes on from its newest checkpoint, and comes to numbers that tell whether it did all of
its steps once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import numpy as np

from bench.errors import DiskError, LeaseError
from bench.launch.executor import Ended, Event, Handle, Refused, Slot, Told
from bench.plan.trial import Trial
from bench.records.record import Record, failure
from bench.records.running.attempt import Attempt
from bench.records.running.lone_folder import LoneFolder
from bench.records.store import write_arrays, write_curve
from bench.train.checkpoint import Checkpoint, Header, newest_checkpoint, write_checkpoint
from bench.train.progress import Progress

STEPS, INTERVAL = 4, 2


def expected(trial: Trial) -> dict[str, float | int | str | None]:
    """What its record has to tell."""
    numbers = [hash((trial.seed, step)) % 997 for step in range(1, STEPS + 1)]
    return {"status": "ok", "quality": float(sum(numbers)), "steps": STEPS, "loss": float(numbers[-1])}


def learn(
    trial: Trial,
    attempt: Attempt | LoneFolder,
    *,
    checkpoints: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
    step_seconds: float = 0.0,
    before_record: Callable[[], None] = lambda: None,
    ballast: int = 0,
) -> None:
    """Does the trial's steps, from its newest checkpoint on, and writes its record.

    Args:
        trial: which.
        attempt: where it writes.
        checkpoints: whether it leaves any, and what stands beside a record.
        report: is told of each step.
        step_seconds: that each takes.
        before_record: is called before the record is written.
        ballast: numbers of no meaning in each checkpoint, for its size.
    """
    folder = attempt.folder_of(trial.id)
    found = newest_checkpoint(folder, trial_id=trial.id, conditions=None, say=lambda line: None)
    done, total = (0, 0.0) if found is None else (found.header.step, float(found.arrays["total"]))
    more = {"ballast": np.zeros(ballast)} if ballast else {}
    for step in range(done + 1, STEPS + 1):
        time.sleep(step_seconds)
        loss = float(hash((trial.seed, step)) % 997)
        total += loss
        report(Progress(step=step, steps=STEPS, loss=loss, quality=total))
        if checkpoints and step % INTERVAL == 0:
            write_curve(folder / "curve.csv", [{"step": step, "train_loss": loss, "quality": total}])
            header = Header(trial_id=trial.id, step=step, conditions={}, stretches=(), facts={})
            write_checkpoint(folder, Checkpoint(header=header, arrays={"total": np.float64(total), **more}))
    loss = expected(trial)["loss"]  # which it did not compute itself where its last checkpoint is of the last step
    write_curve(folder / "curve.csv", [{"step": STEPS, "train_loss": loss, "quality": total}])
    if checkpoints:
        write_arrays(folder / "final.npz", {"total": np.float64(total)})
    before_record()
    attempt.write(record(trial, quality=total, loss=loss))


def record(trial: Trial, **changes: object) -> Record:
    """One of a trial that ended ok."""
    numbers = {"steps": STEPS, "update_ratio": 0.5, "updates": 25.0, "total_seconds": 1.0, "step_milliseconds": 2.0}
    told = {"train_seconds": 0.5, "evaluate_seconds": 0.25, "compile_seconds": 0.125, "flops_per_sequence": 1e6}
    return failure(trial, status="ok", error="").model_copy(update=numbers | told | changes)


class Running:
    """A trial that was started, and has ended by the next look."""

    def __init__(self, trial: Trial, attempt: Attempt, ended: Callable[[Handle], Event]) -> None:
        self.trial = trial
        self.attempt = attempt
        self.ended = ended


class FakeExecutor:
    """Runs the learner when a trial is started: in this process, or in one that is forked for it.

    Args:
        slots: how many trials at a time.
        forks: whether each has a process of its own.
        before: is called in the trial's process before it learns.
        checkpoints: whether trials write any, and what stands beside their records.
    """

    def __init__(
        self, *, slots: int = 2, forks: bool = False, before: Callable[[], None] | None = None, checkpoints: bool = True
    ) -> None:
        self.slots: Sequence[Slot] = tuple(Slot(number=number, threads=1, node="here") for number in range(slots))
        self._forks = forks
        self._before = before
        self._checkpoints = checkpoints
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def expect(self, trials: Sequence[Trial]) -> None:
        pass

    def start(self, trial: Trial, attempt: Attempt, slot: Slot) -> Running:
        how = self._forked if self._forks else self._learned
        started = Running(trial, attempt, how(trial, attempt))
        self._running.append(started)
        return started

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        told: list[Event] = []
        for each in self._running:
            told += [Told(each, Progress(step=STEPS, steps=STEPS)), each.ended(each)]
        self._running = []
        return told

    def stop(self, handles: Sequence[Handle]) -> None:
        self._running = [each for each in self._running if each not in handles]

    def kill(self) -> None:
        self._running = []

    def _learned(self, trial: Trial, attempt: Attempt) -> Callable[[Handle], Event]:
        if self._before is not None:
            self._before()
        try:
            learn(trial, attempt, checkpoints=self._checkpoints)
        except LeaseError:
            pass  # as `run_recorded` has it
        except DiskError as error:
            said = str(error)
            if attempt.held():
                return lambda handle: Refused(handle, said)
        return lambda handle: Ended(handle=handle, status="failed", how="failed", error="no record", conditions=None)

    def _forked(self, trial: Trial, attempt: Attempt) -> Callable[[Handle], Event]:
        process = os.fork()
        if not process:
            code = 1
            try:
                self._learned(trial, attempt)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(process, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        how = "killed" if killed else "failed"
        return lambda handle: Ended(handle=handle, status="failed", how=how, error=how, conditions=None)
