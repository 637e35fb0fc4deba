"""A folder that holds one trial and nothing else: what to run, and in the end its record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import DamagedRecordError, DiskError, LeaseError, RecordError, SweepError
from bench.machine.disk import disk_explained, locked, read_text, write_text
from bench.plan.trial import Trial, build_trial
from bench.records.attempted import AttemptsFile, How, closed
from bench.records.files import disagreements
from bench.records.format import decode
from bench.records.record import FINISHED, Record
from bench.records.store import RECORD, Store

# What to run, and the sign of life of the process that runs it; of no use once there is a record.
TRIAL, HEARTBEAT = "trial.json", "heartbeat.json"


class LoneFolder(Store):
    """The store of one trial, whose files stand in the folder itself, whatever the folder's name.

    Args:
        folder: holds `trial.json`.
        trial_id: of the trial.
        command: the command line that runs it, for its record.
    """

    def __init__(self, folder: Path, *, trial_id: str, command: str = "") -> None:
        super().__init__(folder)
        self._trial_id = trial_id
        self._command = command

    @property
    def running(self) -> Path:
        """Where the trial's files stand."""
        return self.results

    def folder_of(self, trial_id: str) -> Path:
        """The folder, whose one trial this is."""
        assert trial_id == self._trial_id
        return self.results

    def held(self) -> bool:
        """Whether what is written still counts: as long as the folder is there."""
        return self.running.is_dir()

    def write(self, record: Record) -> Path:
        """Writes the record; returns its path. Raises `DiskError` where the folder is gone or takes no file."""
        if not self.held():
            raise DiskError(f"{self.running}: the folder of a running trial is gone; run again")
        noted = AttemptsFile(self.running)
        attempts = closed(noted.read(), how=record.status, error=record.error)
        written = super().write(
            record.model_copy(update={"command": self._command, "workers": 1, "attempts": attempts})
        )
        noted.remove()
        return written

    def begin(self, *, node: str, device: str) -> None:
        """Notes that the trial is started now, there, for its record."""
        noted = AttemptsFile(self.running)
        if noted.take_up(node=node, device=device):
            return
        before = record_in(self.running, trial_id=self._trial_id)
        earlier = noted.read() if before is None else before.attempts
        noted.begin(
            node=node, device=device, earlier=closed(earlier, how="lost", error="its process was gone", ended="")
        )

    def close(self, how: How, error: str) -> None:
        """Notes how it ended, where its record does not say it as well."""
        AttemptsFile(self.running).close(how, error)


def write_trial(folder: Path, trial: Trial) -> Path:
    """Writes `trial.json`; returns its path. Raises `DiskError` where the disk does not take it."""
    write_text(folder / TRIAL, trial.model_dump_json(indent=2) + "\n")
    return folder / TRIAL


def read_trial(folder: Path) -> Trial:
    """The trial of a folder. Protocol fields that are left out are its task's own.

    Raises `SweepError` where `trial.json` is missing, cannot be read or is no trial.
    """
    path = folder / TRIAL
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise SweepError(
            f"{path}: there is no such file; it holds a trial's fields, as 'trial' does in any record"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise SweepError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise SweepError(f"{path}: holds no trial, which is an object with the keys task, cell, framework and others")
    return build_trial(content, where=str(path))


def record_in(folder: Path, *, trial_id: str) -> Record | None:
    """The record that a trial left in a folder of any name; None where there is none.

    Raises `DamagedRecordError` or `NewerRecordError` where it is not to be believed.
    """
    path = folder / RECORD
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedRecordError(f"{path}: cannot be read ({error})") from None
    return decode(text, trial_id=trial_id, where=str(path))


def left_record(folder: Path, *, trial_id: str) -> Record | None:
    """The record that a trial left in a folder of any name, with its files; None where there is none.

    Raises `DamagedRecordError` or `NewerRecordError` where it, or a file that it tells of, is not to be believed.
    """
    record = record_in(folder, trial_id=trial_id)
    if record is not None and (off := disagreements(folder, record.files)):
        raise DamagedRecordError(next(iter(off.values())))
    return record


def has_finished(folder: Path, *, trial_id: str) -> bool:
    """Whether a trial left a record in a folder which is to be believed, and need not be run again."""
    try:
        record = left_record(folder, trial_id=trial_id)
    except RecordError:
        return False
    return record is not None and record.status in FINISHED


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Keeps every other process from running the folder's trial meanwhile. Raises `LeaseError` where one does."""
    path = folder / TRIAL
    with disk_explained(path):
        handle = os.open(path, os.O_RDWR)
    try:
        if not locked(handle):
            raise LeaseError(f"{folder}: another process runs its trial; wait for it, or stop it")
        yield
    finally:
        os.close(handle)
