"""A trial's forked process: runs it, and tells its progress to the process that asked for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from bench.launch.process.heard import Message
from bench.launch.process.recorded import run_recorded
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt


@dataclass(frozen=True, kw_only=True)
class Imports:
    """What was imported before the trial's process was forked: the seconds that it took, and what it printed."""

    seconds: float
    printed: str


def run_child(
    *,
    connection: Connection,
    trial: Trial,
    attempt: Attempt,
    data: Path,
    threads: int,
    imports: Imports,
    cores: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
) -> None:
    """Runs one trial to its record, as `run_recorded` does. If the parent is gone, the process ends.

    Args:
        connection: to the parent.
        trial, attempt, data, threads: as there.
        imports: of the process that this one was forked from.
        cores: that it may use; none leaves all.
        variables: of its environment, which frameworks read when they first use a device.
    """
    started = time.perf_counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    if cores:
        os.sched_setaffinity(0, cores)
    os.environ.update(variables or {})
    code = run_recorded(
        trial,
        store=attempt,
        watcher=_Parent(connection),
        data=data,
        threads=threads,
        started=started,
        import_seconds=imports.seconds,
        printed=imports.printed,
    )
    if code:
        sys.exit(code)


class _Parent:
    """The process that is told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell(self, message: Message) -> None:
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)
