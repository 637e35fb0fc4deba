"""What happens while a sweep runs: `results/<sweep>.events.jsonl`, a line an event, written by any number of runs."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import RecordError
from bench.machine.disk import disk_explained
from bench.plan.sweep import NAME
from bench.records.attempted import now

SUFFIX = ".events.jsonl"


class Entry(BaseModel):
    """One line. Fields that an event does not have are left out of its line.

    Attributes:
        time: when it was written, UTC.
        run: which run of the sweep wrote it: the machine and process id.
        event: `begun` and `ended` are the run's own; `started`, `placed`, `progressed`, `put_back`, `finished` and
            `shared` are a trial's, `stopping` all that run.
        trial_id, label: which trial.
        node, device: where it runs.
        step, steps, loss, quality, update_ratio: how far it is.
        status, error: of its record.
        reason: why it waits again.
        trials: how many, of `begun` and `stopping`.
        seconds_left: about how long the run will take from now on.
    """

    # A later version may tell more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    time: str
    run: str
    event: str
    trial_id: str | None = None
    label: str | None = None
    node: str | None = None
    device: str | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    quality: float | None = None
    update_ratio: float | None = None
    status: str | None = None
    error: str | None = None
    reason: str | None = None
    trials: int | None = None
    seconds_left: float | None = None


def journal_path(results: Path, sweep: str) -> Path:
    """Where a sweep's events stand. Raises `RecordError` for a name that is a path."""
    if not NAME.fullmatch(sweep):
        raise RecordError(f"{results}: {sweep!r} is no sweep's name")
    return results / f"{sweep}{SUFFIX}"


class Journal:
    """Appends to a file of events.

    A line is written in one piece at the end, under a lock, which other machines of a shared disk respect too. Where
    the last line was cut off with whoever wrote it, the next one begins behind a line break, so that no other is lost.

    Args:
        path: of the file.
        run: names this run in every line.
    """

    def __init__(self, path: Path, *, run: str) -> None:
        self._path = path
        self._run = run

    def add(self, event: str, **facts: Any) -> None:
        """Appends one event; facts that are None are left out. Raises `DiskError` where the disk does not take it."""
        entry = Entry(time=now(), run=self._run, event=event, **_finite(facts))
        line = (json.dumps(entry.model_dump(exclude_none=True), ensure_ascii=False) + "\n").encode()
        with disk_explained(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                with suppress(OSError):  # a disk without locks: lines are short, and appended
                    fcntl.lockf(handle, fcntl.LOCK_EX)
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":
                    line = b"\n" + line
                if os.write(handle, line) < len(line):  # half a line is not to stay
                    os.ftruncate(handle, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)


def entries(path: Path) -> Iterator[Entry]:
    """The events of a file in order; lines that were cut off are left out. None where there is no file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n"):
        try:
            yield Entry.model_validate_json(line)
        except ValidationError:
            continue


def _finite(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without numbers that JSON lacks."""
    return {
        name: value
        for name, value in facts.items()
        if not isinstance(value, float) or (abs(value) != float("inf") and value == value)
    }
