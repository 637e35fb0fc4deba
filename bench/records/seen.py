"""The records of some trials as they are looked at again and again: each look reads what is new."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DamagedRecordError, RecordError
from bench.records.record import FINISHED, Status
from bench.records.store import RECORD, Store


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What a look keeps of a record.

    Attributes:
        status: of the record.
        total_seconds: that the trial took; None where it does not tell.
    """

    status: Status
    total_seconds: float | None


@dataclass(frozen=True)
class _Version:
    """Tells a file from the one that took its place."""

    date: int
    number: int
    size: int


class SeenRecords:
    """What was seen of the records of some trials.

    A record that finished is never replaced, so that it is read once, as long as its trial's folder stands. Any other
    is read again when its file has changed.

    Args:
        results: the folder of all records.
        trial_ids: of the trials.
    """

    def __init__(self, results: Path, trial_ids: Iterable[str]) -> None:
        self._store = Store(results)
        self._trial_ids = dict.fromkeys(trial_ids)
        self._versions: dict[str, _Version] = {}
        self.endings: dict[str, Ending] = {}
        self.left_alone: set[str] = set()

    def look(self) -> None:
        """Brings `endings` and `left_alone`, trials whose records are neither read nor replaced, up to date."""
        try:
            there = set(os.listdir(self._store.folder)) & self._trial_ids.keys()
        except FileNotFoundError:
            there = set()
        for trial_id in self._versions.keys() - there:
            self._forget(trial_id)
        for trial_id in there:
            ending = self.endings.get(trial_id)
            if ending is None or ending.status not in FINISHED:
                self._look_at(trial_id)

    def _look_at(self, trial_id: str) -> None:
        try:
            found = (self._store.folder_of(trial_id) / RECORD).stat()
        except OSError:
            self._forget(trial_id)
            return
        version = _Version(found.st_mtime_ns, found.st_ino, found.st_size)
        if self._versions.get(trial_id) == version:
            return
        self._forget(trial_id)
        self._versions[trial_id] = version
        try:
            record = self._store.read(trial_id)
        except DamagedRecordError:
            return  # it is run again
        except RecordError:
            self.left_alone.add(trial_id)
            return
        if record is not None:
            self.endings[trial_id] = Ending(status=record.status, total_seconds=record.total_seconds)

    def _forget(self, trial_id: str) -> None:
        self._versions.pop(trial_id, None)
        self.endings.pop(trial_id, None)
        self.left_alone.discard(trial_id)
