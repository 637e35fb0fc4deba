"""A trial's own process: runs it, tells its progress, and records its failure."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from bench.errors import LeaseError
from bench.plan.trial import Trial
from bench.records.attempt import Attempt
from bench.records.record import failure


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
    ends; if the parent asks it to (SIGTERM), or the trial's lease is gone, it ends without a record.
    """
    started = time.perf_counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, _stop)
    _redirect_output(attempt.running / "log.txt")
    print(imports.printed, end="", flush=True)

    def report(progress: object) -> None:
        try:
            connection.send(progress)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)

    try:
        # Imported here so that an import that fails is recorded like any other failure.
        from bench.train.training import run_trial

        run_trial(
            trial,
            store=attempt,
            data=data,
            threads=threads,
            report=report,
            started=started,
            import_seconds=imports.seconds,
        )
    except StoppedError:
        sys.exit(128 + signal.SIGTERM)
    except LeaseError:
        sys.exit(1)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
        record = failure(trial, status="failed", error=said, traceback=traceback.format_exc())
        with suppress(LeaseError):
            attempt.write(record)
        sys.exit(1)


def _stop(signum: int, frame: FrameType | None) -> None:
    """Ends the trial in order, so that it closes its files and gives back its semaphores."""
    raise StoppedError


def _redirect_output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
