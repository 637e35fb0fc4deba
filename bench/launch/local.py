"""Runs trials on this machine, each in a process of its own, several at a time.

The parent sleeps until a child speaks or ends, so that it does not disturb what is being measured.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from bench.errors import DiskError, LeaseError
from bench.launch.display import Display
from bench.launch.heard import Heard, Message
from bench.launch.interrupts import Interrupts
from bench.launch.servers import ServedProcess, Servers
from bench.machine.disk import Place
from bench.plan.trial import Trial
from bench.records.attempt import Attempt
from bench.records.leases import HEARTBEAT_SECONDS, Watch, take_lease
from bench.records.record import FINISHED, Record, Status
from bench.records.store import Store
from bench.train.progress import Progress

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
    heard: Heard = field(default_factory=Heard)

    @property
    def process_id(self) -> int:
        """Of its process; of the server while that imports, since the trial waits for it."""
        return self.process.pid or self.process.server_id


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
    stall_seconds: float | None = None,
) -> None:
    """Runs the trials, `workers` at a time; every one of them leaves a record.

    Trials that another run on the same results folder holds a lease on are passed by; those that it ends in the
    meantime count as ended, and the rest is waited for.

    On Ctrl-C or SIGTERM the children are stopped, `KeyboardInterrupt` is raised, and what was finished is kept. The
    second time they are killed. A disk that takes no more files is no failure of a trial: the children are stopped in
    the same order, and `DiskError` is raised.

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
        stall_seconds: the longest that a trial may show no life; None is for ever.
    """
    waiting = list(trials)
    running: list[Child] = []
    threads = threads_per_worker(workers)
    if before is None:
        before = store.survey(trial.id for trial in trials).records
    beat_due = time.monotonic() + HEARTBEAT_SECONDS
    place, watch = Place(store.results), Watch()
    with Interrupts(lambda: _kill(running)) as interrupts, Servers(threads=threads) as servers:
        for framework in dict.fromkeys(trial.framework for trial in trials):
            servers.open(framework)
        try:
            while waiting or running:
                interrupts.check()
                place.check()
                for trial in list(waiting):
                    if len(running) == workers:
                        break
                    lease = take_lease(store.results, trial.id, watch=watch)
                    if lease is None:
                        continue
                    waiting.remove(trial)
                    attempt = Attempt(store.results, lease=lease, command=command, workers=workers)
                    with _given_back_unless_started(attempt):
                        attempt.start()
                        if not _is_to_run(trial.id, store=store, before=before.get(trial.id)):
                            attempt.end()
                            _tell_shared(trial, store=store, display=display)
                            continue
                        running.append(
                            _start(trial, attempt, servers, data=data, threads=threads, timeout=timeout_seconds)
                        )
                    display.started(trial)
                if running:
                    seconds = POLL_SECONDS if waiting and len(running) < workers else HEARTBEAT_SECONDS
                    _wait(running, seconds=seconds, stall=stall_seconds, interrupts=interrupts)
                elif waiting:
                    time.sleep(POLL_SECONDS)
                interrupts.check()
                place.check()
                if time.monotonic() >= beat_due:
                    _show_life(running)
                    beat_due = time.monotonic() + HEARTBEAT_SECONDS
                for child in list(running):
                    if not _attend(child, display=display, timeout=timeout_seconds, stall=stall_seconds):
                        continue
                    running.remove(child)
                    if child.attempt.lease.held():
                        display.finished(child.trial, _written(child.trial, store))
                        child.attempt.end()
                    else:  # another run has it, or has ended it
                        waiting.append(child.trial)
        except KeyboardInterrupt:
            if running:
                display.stopping(len(running))
            raise
        finally:
            interrupts.stopping = True
            _stop(running)
            for child in running:
                child.attempt.end()


@contextmanager
def _given_back_unless_started(attempt: Attempt) -> Iterator[None]:
    try:
        yield
    except BaseException:
        attempt.end()
        raise


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


def _wait(running: Sequence[Child], *, seconds: float, stall: float | None, interrupts: Interrupts) -> None:
    """Sleeps until a child speaks, ends, is over its time or too long silent, or a signal asks; no longer than this."""
    nearest = min(child.deadline for child in running)
    if stall is not None:
        nearest = min(nearest, *(child.heard.silent_until(stall) for child in running))
    things = [thing for child in running for thing in (child.connection, child.process.sentinel)]
    # A closed pipe is always ready; its process is then about to end.
    things = [thing for thing in things if not (isinstance(thing, Connection) and thing.closed)]
    wait([interrupts.reader, *things], timeout=max(0.0, min(nearest - time.monotonic(), seconds)))


def _attend(child: Child, *, display: Display, timeout: float | None, stall: float | None) -> bool:
    """Passes on what a child said; whether the trial has ended, with a record or without its lease.

    Raises `DiskError` where the disk takes no record, or the child said that it does not take its files.
    """
    _pass_on(child, display)
    attempt = child.attempt
    status: Status = "failed"
    if child.process.exitcode is not None:
        _pass_on(child, display)
        child.connection.close()
        error = _how_it_ended(child.process.exitcode)
    elif time.monotonic() >= child.deadline:
        _stop([child])
        status, error = "timeout", f"stopped after {timeout:g} seconds, the limit"
    elif stall is not None and child.heard.stalled(stall, process_id=child.process_id):
        _stop([child])
        step = child.heard.step
        after = "before its first step ended" if step is None else f"after step {step}"
        error = f"stalled: no sign of life for {stall:g} seconds, {after}; it was stopped"
    elif not child.heard.trouble:
        return False
    if child.heard.trouble:
        raise DiskError(child.heard.trouble)
    if attempt.running.exists():  # it left no record
        with suppress(LeaseError):
            attempt.write(_unfinished(child, status=status, error=error))
    return True


def _unfinished(child: Child, *, status: Status, error: str) -> Record:
    # Imported here, since it needs NumPy and more, and few trials end so.
    from bench.train.unfinished import unfinished

    return unfinished(
        child.trial, folder=child.attempt.running, conditions=child.heard.conditions, status=status, error=error
    )


def _show_life(running: Sequence[Child]) -> None:
    """Touches the leases of the running trials; a trial that another run has taken over is stopped."""
    for child in running:
        try:
            child.attempt.lease.beat()
        except LeaseError:
            _stop([child])


def _pass_on(child: Child, display: Display) -> None:
    try:
        while not child.connection.closed and child.connection.poll():
            message: Message = child.connection.recv()
            child.heard.hear(message, process_id=child.process_id)
            if isinstance(message, Progress):
                display.progressed(child.trial, message)
    except (EOFError, OSError):
        child.connection.close()


def _how_it_ended(exitcode: int) -> str:
    if exitcode >= 0:
        return f"the trial's process ended with exit code {exitcode} and left no record (see log.txt)"
    name = signal.Signals(-exitcode).name
    hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"the trial's process was killed by {name} (signal {-exitcode}){hint}"


def _stop(children: Sequence[Child]) -> None:
    """Ends processes in order, so that they close their files; one that takes too long is killed."""
    for child in children:
        child.process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for child in children:
        child.process.join(max(0.0, until - time.monotonic()))
        if child.process.exitcode is None:
            child.process.kill()
            child.process.join()
        child.connection.close()


def _kill(children: Sequence[Child]) -> None:
    for child in children:
        child.process.kill()
