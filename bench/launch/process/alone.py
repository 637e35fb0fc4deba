"""A trial in a process of its own that nobody forked: the command `trial`, which any queue or cluster can run."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import DiskError
from bench.launch.preparation import prepare_beside_others
from bench.launch.process.heartbeat import Heartbeat
from bench.launch.process.recorded import ENDED, FAILED, STOPPED, run_recorded
from bench.machine import devices
from bench.records.record import FINISHED, Record
from bench.records.running.lone_folder import LoneFolder, held_alone, read_trial, record_in


def run_alone(folder: Path, *, data: Path, threads: int, command: str) -> tuple[int, str]:
    """Runs the trial of `folder/trial.json`; returns the exit code, and a line to say.

    Args:
        folder: of the trial.
        data: the folder of data sets; what the trial needs and is missing is prepared there.
        threads: of the framework.
        command: the command line, for the record.

    Raises `SweepError` where the folder holds no trial, `LeaseError` where another process runs it, `RecordError`
    where a record stands there that is not to be believed, and `DiskError`.
    """
    started = time.perf_counter()
    trial = read_trial(folder)
    with held_alone(folder):
        have = record_in(folder, trial_id=trial.id)
        if have is not None and have.status in FINISHED:
            return _told(have, again=True)

        def prepare() -> None:
            devices.check([(trial.framework, trial.device)])
            prepare_beside_others(trial, data=data)

        store = LoneFolder(folder, trial_id=trial.id, command=command)
        signal.signal(signal.SIGINT, lambda number, frame: signal.raise_signal(signal.SIGTERM))
        store.begin(node=socket.gethostname(), device=trial.device)
        with output_kept(), Heartbeat(folder) as heartbeat:
            code = run_recorded(
                trial, store=store, watcher=heartbeat, data=data, threads=threads, started=started, prepare=prepare
            )
        if heartbeat.trouble:
            raise DiskError(heartbeat.trouble)
        if code == STOPPED:
            store.close("stopped", "it was asked to end")
            return code, f"stopped  {trial.id}  {trial.label}: the same command goes on from its last checkpoint"
        record = record_in(folder, trial_id=trial.id)
        assert record is not None  # else the disk would have told
        return _told(record)


def _told(record: Record, *, again: bool = False) -> tuple[int, str]:
    """The exit code of a record, and its line."""
    from bench.launch.display.words import summary

    before = ", which was run before" if again else ""
    line = f"{record.status:<6} {record.trial_id}  {record.trial.label}{before}: {summary(record)}"
    return ENDED if record.status == "ok" else FAILED, line


@contextmanager
def output_kept() -> Iterator[None]:
    """Standard output and error, which a trial sends to its log, lead afterwards where they led before."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, there in kept.items():
            os.dup2(there, number)
            os.close(there)
