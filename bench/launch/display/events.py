"""The file of events, by which others can follow a sweep."""

from __future__ import annotations

import math
import os
import socket
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import DiskError
from bench.launch.duration.countdown import Countdown
from bench.launch.executor import Where
from bench.plan.trial import Trial
from bench.records.journal import Journal, journal_path
from bench.records.record import Record
from bench.train.progress import Progress

# Seconds between the lines of one trial's progress: a sweep of days stays a file that can be read.
PROGRESS_SECONDS = 10.0


class JournalDisplay:
    """Writes what it is told to `results/<sweep>.events.jsonl`.

    Args:
        results: the folder of all records.
        sweep: its name.
        trials: how many are to be run.
        countdown: knows the time left, and is told everything before.
    """

    def __init__(self, results: Path, *, sweep: str, trials: int, countdown: Countdown) -> None:
        self._journal = Journal(journal_path(results, sweep), run=f"{socket.gethostname()} {os.getpid()}")
        self._trials = trials
        self._countdown = countdown
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._journal.add("begun", trials=self._trials, seconds_left=self._left)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(DiskError) if error is not None else nullcontext():  # that the disk is full is told already
            self._journal.add("ended", error=None if error is None else str(error) or type(error).__name__)

    @property
    def _left(self) -> float:
        return round(self._countdown.seconds_left(), 1)

    def started(self, trial: Trial) -> None:
        """Writes that a trial was started."""
        self._journal.add("started", trial_id=trial.id, label=trial.label)

    def placed(self, trial: Trial, where: Where) -> None:
        """Writes where it runs."""
        self._journal.add("placed", trial_id=trial.id, node=where.node, device=where.device)

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Writes how far it is, now and then."""
        now = time.monotonic()
        if progress.step < progress.steps and now - self._told.get(trial.id, -math.inf) < PROGRESS_SECONDS:
            return
        self._told[trial.id] = now
        facts = {"step": progress.step, "steps": progress.steps, "loss": progress.loss}
        facts |= {"quality": progress.quality, "update_ratio": progress.update_ratio}
        self._journal.add("progressed", trial_id=trial.id, seconds_left=self._left, **facts)

    def finished(self, trial: Trial, record: Record) -> None:
        """Writes how it ended."""
        self._end("finished", trial, record)

    def put_back(self, trial: Trial, why: str) -> None:
        """Writes that it waits again."""
        self._journal.add("put_back", trial_id=trial.id, reason=why)

    def shared(self, trial: Trial, record: Record) -> None:
        """Writes that it ended in another run."""
        self._end("shared", trial, record)

    def stopping(self, trials: int) -> None:
        """Writes that all that run are being stopped."""
        self._journal.add("stopping", trials=trials)

    def disk_is_slow(self, said: str) -> None:
        """Writes nothing: its file is on that disk."""

    def _end(self, event: str, trial: Trial, record: Record) -> None:
        facts = {"status": record.status, "error": record.error or None, "quality": record.quality}
        facts |= {"update_ratio": record.update_ratio}
        self._journal.add(event, trial_id=trial.id, label=trial.label, seconds_left=self._left, **facts)
