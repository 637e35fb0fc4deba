"""Which trial runs when: those that wait are started while a slot is free, and every one that ends leaves a record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench.errors import DiskError, LeaseError, RecordError
from bench.launch.display.told import Display
from bench.launch.executor import Began, Ended, Executor, Handle, NotBegun, Refused, Slot, Told
from bench.launch.interrupts import Interrupts
from bench.launch.patience import Patience
from bench.launch.waiting import Waiting, given_back_if_raised
from bench.machine.disk import Place
from bench.plan.trial import Trial
from bench.records.record import Record, failure
from bench.records.running.attempt import GONE
from bench.records.running.leases import HEARTBEAT_SECONDS
from bench.records.store import Store
from bench.tasks import DEFAULT_DATA

# Seconds between looks at the trials that other runs hold.
POLL_SECONDS = 2.0


def run_trials(
    trials: Sequence[Trial],
    *,
    executor: Executor,
    store: Store,
    display: Display,
    data: Path = DEFAULT_DATA,
    before: Mapping[str, Record] | None = None,
    command: str = "",
    retries: int = 0,
) -> None:
    """Runs the trials, as many at a time as the executor has slots; every one of them leaves a record.

    Trials that another run on the same results folder holds a lease on are passed by; those that it ends in the
    meantime count as ended, and the rest is waited for.

    On Ctrl-C or SIGTERM the trials are stopped, `KeyboardInterrupt` is raised, and what was finished is kept. The
    second time they are killed. A disk that takes no more files is no failure of a trial: the trials are stopped in
    the same order, and `DiskError` is raised.

    Args:
        trials: what to run.
        executor: where; it is opened and closed here.
        store: where the records go.
        display: is told what happens.
        data: the folder of data sets, which what is told of a task may depend on.
        before: the records as they stood when it was decided what to run, by trial id; a trial that has another one
            since was run by somebody else. None reads them now.
        command: the command line, for the records.
        retries: how often a trial is tried again that ended for a reason which is the machine's: killed, out of memory,
            its node lost. What is the trial's own, such as a loss that is not finite, would end alike.
    """
    if before is None:
        before = store.survey(trial.id for trial in trials).records
    place = Place(store.results)
    waiting = Waiting(trials, store=store, before=before, command=command, workers=len(executor.slots), retries=retries)
    with Interrupts(executor.kill) as interrupts, executor:
        executor.expect(trials)
        running = Running(executor, waiting=waiting, store=store, display=display, data=data)
        try:
            while waiting or running:
                interrupts.check()
                place.check()
                running.fill()
                if waiting or running:
                    running.attend(interrupts, place)
        except KeyboardInterrupt:
            if running:
                display.stopping(len(running))
            raise
        finally:
            interrupts.stopping = True
            running.stop()


class Running:
    """The trials that run, by slot."""

    def __init__(
        self, executor: Executor, *, waiting: Waiting, store: Store, display: Display, data: Path = DEFAULT_DATA
    ) -> None:
        self._executor = executor
        self._waiting = waiting
        self._store = store
        self._display = display
        self._data = data
        self._patience = Patience(store.results, say=display.disk_is_slow)
        self._handles: dict[Slot, Handle] = {}
        self._beat_due = time.monotonic() + HEARTBEAT_SECONDS

    def __len__(self) -> int:
        return len(self._handles)

    def fill(self) -> None:
        """Starts trials in the free slots."""
        for slot in self._free():
            self._show_life()
            with self._patience.writing():
                taken = self._waiting.take(shared=self._display.shared, between=self._show_life)
            if taken is None:
                return
            trial, attempt = taken
            where = slot.where(trial)
            try:
                with given_back_if_raised(attempt):
                    with self._patience.writing():
                        attempt.begin(node=where.node, device=where.device)
                    self._handles[slot] = self._executor.start(trial, attempt, slot)
            except LeaseError:  # this run was so late that another has taken it over
                self._waiting.put_back(trial)
                continue
            self._display.started(trial)
            if where.node:
                self._display.placed(trial, where)

    def attend(self, interrupts: Interrupts, place: Place) -> None:
        """Waits until something happens, and answers it."""
        looks = bool(self._waiting) and bool(self._free())
        seconds = POLL_SECONDS if looks else HEARTBEAT_SECONDS
        events = self._executor.events(seconds=seconds, wake=interrupts.reader)
        interrupts.check()
        place.check()
        self._show_life()
        for event in events:
            if isinstance(event, Told):
                self._display.progressed(event.handle.trial, event.progress)
            elif isinstance(event, Refused):
                raise DiskError(event.said)
            elif isinstance(event, Began):
                with suppress(LeaseError):  # the next look at the leases answers that
                    event.handle.attempt.locate(node=event.where.node, device=event.where.device)
                self._display.placed(event.handle.trial, event.where)
            elif isinstance(event, NotBegun):
                self._put_back(event.handle, why=event.said)
            elif event.handle in self._handles.values():
                with self._patience.writing():
                    self._end(event)
                self._show_life()

    def stop(self) -> None:
        """Ends all that run, in order; what they can go on from stays."""
        handles = list(self._handles.values())
        self._handles.clear()
        self._executor.stop(handles)
        for handle in handles:
            if handle.attempt.running.is_dir():  # else it ended meanwhile
                # The disk may be why they are stopped; a record that is not believed is none.
                with suppress(DiskError, LeaseError, RecordError):
                    if not handle.attempt.take_in():
                        handle.attempt.close("stopped", "its run was stopped")
            handle.attempt.end()

    def _free(self) -> list[Slot]:
        return [slot for slot in self._executor.slots if slot not in self._handles]

    def _forget(self, handle: Handle) -> None:
        self._handles = {slot: other for slot, other in self._handles.items() if other is not handle}

    def _end(self, event: Ended) -> None:
        """Sees to the record of a trial that ended, and gives its lease back."""
        trial, attempt = event.handle.trial, event.handle.attempt
        if attempt.running.exists():  # it left no record, or a command left it there
            with suppress(LeaseError):  # then nothing of it stays
                _conclude(event, data=self._data)
        self._forget(event.handle)
        if not attempt.lease.held():  # another run has it, or has ended it
            self._waiting.put_back(trial)
            self._display.put_back(trial, "another run has taken it over")
            return
        record = self._store.read(trial.id)
        if record is None:
            attempt.end()
            raise DiskError(f"{attempt.running}: {GONE}")
        if tries := self._waiting.try_again(record):
            attempt.end()
            self._waiting.put_back(trial, after=record)
            again = f"{record.error}; it is tried again ({tries} of {self._waiting.retries})"
            self._display.put_back(trial, again)
            return
        self._display.finished(trial, record)
        attempt.end()

    def _put_back(self, handle: Handle, *, why: str) -> None:
        """Has a trial wait again that did not begin."""
        self._forget(handle)
        handle.attempt.end()
        self._waiting.put_back(handle.trial)
        self._display.put_back(handle.trial, why)

    def _show_life(self) -> None:
        """Touches the leases now and then; a trial that another run has taken over is stopped, and waits again.

        It is called wherever the disk may have taken its time: others wait for a sign of life by their own clocks.
        """
        if time.monotonic() < self._beat_due:
            return
        self._beat_due = time.monotonic() + HEARTBEAT_SECONDS
        for handle in list(self._handles.values()):
            try:
                handle.attempt.lease.beat()
            except LeaseError:
                self._executor.stop([handle])
                self._end(Ended(handle=handle, status="failed", how="lost", error="its lease is gone", conditions=None))


def _conclude(event: Ended, *, data: Path) -> None:
    """Takes in the record that a trial's command left, or writes the one of a trial that left none to be believed."""
    attempt = event.handle.attempt
    try:
        if attempt.take_in():
            return
    except RecordError as error:
        event = replace(event, status="failed", how="failed", error=str(error))
    # Imported here, since it needs NumPy and more, and few trials end so.
    from bench.train.unfinished import unfinished

    attempt.conclude(event.how, event.error)
    trial = event.handle.trial
    try:
        record = unfinished(
            trial,
            folder=attempt.running,
            conditions=event.conditions,
            status=event.status,
            error=event.error,
            data=data,
        )
    except DiskError:
        raise
    except Exception:  # what a trial left must not end the others, whatever the code of its task makes of it
        record = failure(trial, status=event.status, error=event.error, data=data)
    attempt.write(record)
