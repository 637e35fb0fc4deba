"""A trial's own process: runs it, tells its progress, and records its failure."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from bench.errors import DiskError, LeaseError
from bench.launch.heard import DiskTrouble, Message
from bench.machine.disk import TROUBLES, disk_trouble
from bench.plan.trial import Trial
from bench.records.attempt import Attempt
from bench.train.progress import Life, Progress

LOG = "log.txt"


class StoppedError(BaseException):
    """The parent asked the process to end."""


@dataclass(frozen=True, kw_only=True)
class Imports:
    """What was imported before the trial's process was forked: the seconds that it took, and what it printed."""

    seconds: float
    printed: str


def run_child(
    *, connection: Connection, trial: Trial, attempt: Attempt, data: Path, threads: int, imports: Imports
) -> None:
    """Runs one trial to its record; whatever is raised becomes a record of status `failed`.

    Everything that the frameworks print goes to `log.txt` in the trial's folder. If the parent is gone, the process
    ends; if the parent asks it to (SIGTERM), or the trial's lease is gone, it ends without a record. So it does where
    the disk takes no files: that is no failure of the trial, and the parent is told.
    """
    started = time.perf_counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, _stop)
    parent = _Parent(connection)
    try:
        _redirect_output(attempt.running / LOG)
        print(imports.printed, end="", flush=True)
        # Imported here so that an import that fails is recorded like any other failure.
        from bench.train.training import run_trial

        run_trial(
            trial,
            store=attempt,
            data=data,
            threads=threads,
            report=parent.progressed,
            alive=parent.lives,
            started=started,
            import_seconds=imports.seconds,
        )
    except StoppedError:
        sys.exit(128 + signal.SIGTERM)
    except LeaseError:
        sys.exit(1)
    except BaseException as error:
        trouble = _disk_trouble(error, attempt)
        if trouble is None:
            trouble = _record_failure(error, trial=trial, attempt=attempt, conditions=parent.conditions)
        if trouble is not None:
            _tell_trouble(trouble, attempt=attempt, parent=parent)
        sys.exit(1)


class _Parent:
    """The process that is told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.conditions: Mapping[str, str] | None = None

    def tell(self, message: Message) -> None:
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)

    def progressed(self, progress: Progress) -> None:
        self.tell(progress)

    def lives(self, life: Life) -> None:
        self.conditions = life.conditions or self.conditions
        self.tell(life)


def _disk_trouble(error: BaseException, attempt: Attempt) -> DiskError | None:
    """What an error says of the disk, itself or as the reason of another; None where nothing."""
    log = attempt.running / LOG
    while True:
        if isinstance(error, DiskError):
            return error
        if isinstance(error, OSError):
            named = isinstance(error.filename, str) and error.errno in TROUBLES
            told = disk_trouble(error, path=Path(error.filename) if named else log)
            if told is not None:
                return told
        reason = error.__cause__ or error.__context__
        if reason is None:
            return None
        error = reason


def _record_failure(
    error: BaseException, *, trial: Trial, attempt: Attempt, conditions: Mapping[str, str] | None
) -> DiskError | None:
    """Writes the record of a failure; returns what is wrong with the disk where it does not take one."""
    from bench.records.record import failure

    said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    printed = "".join(traceback.format_exception(error))
    try:
        from bench.train.unfinished import unfinished

        record = unfinished(
            trial, folder=attempt.running, conditions=conditions, status="failed", error=said, traceback=printed
        )
    except Exception:  # what it needs may be what failed, however that shows; the log tells
        traceback.print_exc()
        record = failure(trial, status="failed", error=said, traceback=printed)
    try:
        attempt.write(record)
    except LeaseError:  # another run has it
        return None
    except DiskError as trouble:
        return trouble
    return None


def _tell_trouble(trouble: DiskError, *, attempt: Attempt, parent: _Parent) -> None:
    if attempt.lease.held():  # else another run has taken the trial over, with its folder
        parent.tell(DiskTrouble(str(trouble)))


def _stop(signum: int, frame: FrameType | None) -> None:
    """Ends the trial in order, so that it closes its files and gives back its semaphores."""
    raise StoppedError


def _redirect_output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
