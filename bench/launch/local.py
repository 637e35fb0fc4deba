"""Runs trials on this machine, each in a process of its own, several at a time.

The parent sleeps until a child speaks or ends, so that it does not disturb what is being measured.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from bench.errors import LeaseError
from bench.launch.display import Display
from bench.launch.servers import ServedProcess, Servers
from bench.plan.trial import Trial
from bench.records.attempt import Attempt
from bench.records.leases import HEARTBEAT_SECONDS, take_lease
from bench.records.record import FINISHED, Record, failure
from bench.records.store import Store

# Seconds that a child is given to end by itself after it is asked to.
GRACE_SECONDS = 5.0
# Seconds between looks at the trials that other runs hold.
POLL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running trial."""

    trial: Trial
    attempt: Attempt
    process: ServedProcess
    connection: Connection
    deadline: float


def threads_per_worker(workers: int) -> int:
    """This process's cores, divided among the workers."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def run_trials(
    trials: Sequence[Trial],
    *,
    store: Store,
    data: Path,
    workers: int,
    display: Display,
    before: Mapping[str, Record] | None = None,
    command: str = "",
    timeout_seconds: float | None = None,
) -> None:
    """Runs the trials, `workers` at a time; every one of them leaves a record.

    Trials that another run on the same results folder holds a lease on are passed by; those that it ends in the
    meantime count as ended, and the rest is waited for.

    On Ctrl-C or SIGTERM the children are stopped, `KeyboardInterrupt` is raised, and what was finished is kept.

    Args:
        trials: what to run.
        store: where the records go.
        data: the folder of data sets.
        workers: processes at a time; the cores are divided among them.
        display: is told what happens.
        before: the records as they stood when it was decided what to run, by trial id; a trial that has another one
            since was run by somebody else. None reads them now.
        command: the command line, for the records.
        timeout_seconds: the longest that a trial may take; None is for ever.
    """
    waiting = list(trials)
    running: list[Child] = []
    threads = threads_per_worker(workers)
    if before is None:
        before = store.survey(trial.id for trial in trials).records
    beat_due = time.monotonic() + HEARTBEAT_SECONDS
    with _interrupted_by_sigterm(), Servers(threads=threads) as servers:
        for framework in dict.fromkeys(trial.framework for trial in trials):
            servers.open(framework)
        try:
            while waiting or running:
                for trial in list(waiting):
                    if len(running) == workers:
                        break
                    lease = take_lease(store.results, trial.id)
                    if lease is None:
                        continue
                    waiting.remove(trial)
                    attempt = Attempt(store.results, lease=lease, command=command, workers=workers)
                    attempt.start()
                    if not _is_to_run(trial.id, store=store, before=before.get(trial.id)):
                        attempt.end()
                        _tell_shared(trial, store=store, display=display)
                        continue
                    running.append(_start(trial, attempt, servers, data=data, threads=threads, timeout=timeout_seconds))
                    display.started(trial)
                if running:
                    _wait(running, seconds=POLL_SECONDS if waiting and len(running) < workers else HEARTBEAT_SECONDS)
                elif waiting:
                    time.sleep(POLL_SECONDS)
                if time.monotonic() >= beat_due:
                    _show_life(running)
                    beat_due = time.monotonic() + HEARTBEAT_SECONDS
                for child in list(running):
                    if not _attend(child, display=display, timeout=timeout_seconds):
                        continue
                    running.remove(child)
                    if child.attempt.lease.held():
                        display.finished(child.trial, _written(child.trial, store))
                        child.attempt.end()
                    else:  # another run has it, or has ended it
                        waiting.append(child.trial)
        finally:
            for child in running:
                _stop(child)
                child.attempt.end()


def _is_to_run(trial_id: str, *, store: Store, before: Record | None) -> bool:
    """Whether a trial whose lease was just taken has to be run; a damaged record is set aside."""
    found = store.survey([trial_id])
    if trial_id in found.damaged:
        store.set_aside(trial_id, reason=found.damaged[trial_id])
    if trial_id in found.left_alone:
        return False
    record = found.records.get(trial_id)
    # A record that was not there when this run began is another run's: it failed a moment ago.
    return record is None or (record.status not in FINISHED and record == before)


def _written(trial: Trial, store: Store) -> Record:
    record = store.read(trial.id)
    assert record is not None
    return record


def _tell_shared(trial: Trial, *, store: Store, display: Display) -> None:
    record = store.survey([trial.id]).records.get(trial.id)
    if record is not None:
        display.shared(trial, record)


def _start(
    trial: Trial, attempt: Attempt, servers: Servers, *, data: Path, threads: int, timeout: float | None
) -> Child:
    arguments = {"trial": trial, "attempt": attempt, "data": data, "threads": threads}
    process, progress = servers.start(trial.framework, arguments)
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    return Child(trial=trial, attempt=attempt, process=process, connection=progress, deadline=deadline)


def _wait(running: Sequence[Child], *, seconds: float) -> None:
    """Sleeps until a child speaks, ends or is over its time, but no longer than this."""
    nearest = min(child.deadline for child in running) - time.monotonic()
    things = [thing for child in running for thing in (child.connection, child.process.sentinel)]
    # A closed pipe is always ready; its process is then about to end.
    things = [thing for thing in things if not (isinstance(thing, Connection) and thing.closed)]
    wait(things, timeout=max(0.0, min(nearest, seconds)))


def _attend(child: Child, *, display: Display, timeout: float | None) -> bool:
    """Passes on what a child said; whether the trial has ended, with a record or without its lease."""
    _pass_on(child, display)
    trial, attempt = child.trial, child.attempt
    if child.process.exitcode is None and time.monotonic() < child.deadline:
        return False
    if child.process.exitcode is None:
        _stop(child)
        ended = failure(trial, status="timeout", error=f"stopped after {timeout:g} seconds, the limit")
    else:
        _pass_on(child, display)
        child.connection.close()
        ended = failure(trial, status="failed", error=_how_it_ended(child.process.exitcode))
    if attempt.running.exists():  # it left no record
        with suppress(LeaseError):
            attempt.write(ended)
    return True


def _show_life(running: Sequence[Child]) -> None:
    """Touches the leases of the running trials; a trial that another run has taken over is stopped."""
    for child in running:
        try:
            child.attempt.lease.beat()
        except LeaseError:
            _stop(child)


def _pass_on(child: Child, display: Display) -> None:
    try:
        while not child.connection.closed and child.connection.poll():
            display.progressed(child.trial, child.connection.recv())
    except (EOFError, OSError):
        child.connection.close()


def _how_it_ended(exitcode: int) -> str:
    if exitcode >= 0:
        return f"the trial's process ended with exit code {exitcode} and left no record (see log.txt)"
    name = signal.Signals(-exitcode).name
    hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"the trial's process was killed by {name} (signal {-exitcode}){hint}"


def _stop(child: Child) -> None:
    child.process.terminate()
    child.process.join(GRACE_SECONDS)
    if child.process.exitcode is None:
        child.process.kill()
        child.process.join()
    child.connection.close()


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Answers SIGTERM as Ctrl-C is answered."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
