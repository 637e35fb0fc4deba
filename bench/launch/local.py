"""Runs trials on this machine, each in its own spawned process, several at a time.

The parent sleeps until a child speaks or ends, so that it does not disturb what is being measured.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

from bench.launch.child import run_child
from bench.launch.display import Display
from bench.plan.trial import Trial
from bench.records.record import Record, failure
from bench.records.store import Store

# Seconds that a child is given to end by itself after it is asked to.
GRACE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running trial."""

    trial: Trial
    process: SpawnProcess
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
    timeout_seconds: float | None = None,
) -> None:
    """Runs the trials in order, `workers` at a time; every one of them leaves a record.

    On Ctrl-C or SIGTERM the children are stopped, `KeyboardInterrupt` is raised, and what was finished is kept.

    Args:
        trials: what to run.
        store: where the records go.
        data: the folder of data sets.
        workers: processes at a time; the cores are divided among them.
        display: is told what happens.
        timeout_seconds: the longest that a trial may take; None is for ever.
    """
    waiting = deque(trials)
    running: list[Child] = []
    threads = threads_per_worker(workers)
    with _interrupted_by_sigterm():
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    trial = waiting.popleft()
                    running.append(_start(trial, store=store, data=data, threads=threads, timeout=timeout_seconds))
                    display.started(trial)
                _wait(running)
                for child in list(running):
                    record = _attend(child, store=store, display=display, timeout=timeout_seconds)
                    if record is not None:
                        running.remove(child)
                        display.finished(child.trial, record)
        finally:
            for child in running:
                _stop(child)


def _start(trial: Trial, *, store: Store, data: Path, threads: int, timeout: float | None) -> Child:
    store.clear(trial.id)
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(
        target=run_child,
        args=(sending, trial, store.folder.parent, store.sweep, data, threads),
        name=trial.id,
        daemon=True,
    )
    process.start()
    sending.close()
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    return Child(trial=trial, process=process, connection=receiving, deadline=deadline)


def _wait(running: Sequence[Child]) -> None:
    nearest = min(child.deadline for child in running) - time.monotonic()
    things = [thing for child in running for thing in (child.connection, child.process.sentinel)]
    # A closed pipe is always ready; its process is then about to end.
    things = [thing for thing in things if not (isinstance(thing, Connection) and thing.closed)]
    wait(things, timeout=None if nearest == float("inf") else max(0.0, nearest))


def _attend(child: Child, *, store: Store, display: Display, timeout: float | None) -> Record | None:
    """Passes on what a child said; its record once it has ended."""
    _pass_on(child, display)
    trial = child.trial
    if child.process.exitcode is None and time.monotonic() >= child.deadline:
        _stop(child)
        record = failure(
            trial, sweep=store.sweep, status="timeout", error=f"stopped after {timeout:g} seconds, the limit"
        )
        store.write(record)
        return record
    if child.process.exitcode is None:
        return None
    _pass_on(child, display)
    child.connection.close()
    record = store.read(trial.id) or failure(
        trial, sweep=store.sweep, status="failed", error=_how_it_ended(child.process.exitcode)
    )
    store.write(record)
    return record


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
