"""The store: what trials leave behind, written so that nothing is lost.

results/trials/<trial id>/record.json     one flat record
                          curve.csv       evaluations by step
                          steps.npz       raw times of every training step
                          gates.npz       some test sequences with their gates
                          best.npz        parameters that were best on validation
                          final.npz       parameters after the last step
                          tensorboard/    events
results/running/          trials that run now, until they end, and what stopped ones go on from: checkpoint-<step>.npz
results/leases/           who runs them
results/quarantine/       records that were not to be believed, each with the reason
"""

from __future__ import annotations

import csv
import errno
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DamagedRecordError, RecordError
from bench.machine.disk import disk_explained, read_text, write_atomically
from bench.plan.sweep import NAME
from bench.plan.trial import Trial
from bench.records.files import FileName, checksums, disagreement
from bench.records.format import AGAIN, decode, encode
from bench.records.record import FINISHED, Record
from impls.contract import Array

TRIALS, QUARANTINE, RECORD = "trials", "quarantine", "record.json"
EVENTS, CHECKPOINTS = "tensorboard", "checkpoint-*.npz"
# What belongs to a checkpoint, and is left by a trial that ends before it can write it again.
SO_FAR = ("curve.csv", "best.npz")


def write_arrays(path: Path, arrays: Mapping[str, Array], *, durable: bool = True) -> None:
    """A compressed `.npz`, atomically; `durable` as `write_atomically` has it."""
    # NumPy's stub takes the first keyword for a flag.
    save: Callable[..., None] = np.savez_compressed
    write_atomically(path, lambda temporary: save(temporary, **arrays), durable=durable)


def write_curve(path: Path, rows: Sequence[Mapping[str, Any]], *, durable: bool = True) -> None:
    """A CSV with one row an evaluation, atomically; `durable` as `write_atomically` has it."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["step"])
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write, durable=durable)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found of some trials; no trial stands in two places.

    Attributes:
        records: those that can be believed, by trial id.
        damaged: what is wrong with those that cannot, by trial id.
        left_alone: why a record is neither read nor replaced, by trial id: a later version wrote it, or the disk
            does not give it.
    """

    records: dict[str, Record]
    damaged: dict[str, str]
    left_alone: dict[str, str]

    def problems(self) -> dict[str, str]:
        """All that is wrong, by trial id: one line each."""
        return self.damaged | self.left_alone

    def to_run(self, trials: Sequence[Trial]) -> list[Trial]:
        """Of the trials that were looked at, those without a record to believe, that failed or that timed out."""
        finished = {trial_id for trial_id, record in self.records.items() if record.status in FINISHED}
        return [trial for trial in trials if trial.id not in finished and trial.id not in self.left_alone]


class Store:
    """The records under `results/trials/`: each trial once, whatever sweeps ask for it."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.folder = results / TRIALS

    def folder_of(self, trial_id: str) -> Path:
        """Where a trial keeps its files. Raises `RecordError` for an id that is a path: lists and folders tell ids."""
        if not NAME.fullmatch(trial_id):
            raise RecordError(f"{self.folder}: {trial_id!r} is no trial's id")
        return self.folder / trial_id

    def write(self, record: Record) -> Path:
        """Writes a record; returns its path. Infinite and NaN numbers become null.

        A record without a date is new: it is dated, and tells the checksums of the files beside it. Raises `DiskError`
        where the disk does not take it.
        """
        path = self.folder_of(record.trial_id) / RECORD
        with disk_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not record.finished:
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                record = record.model_copy(update={"finished": now, "files": checksums(path.parent)})
        text = encode(record)
        write_atomically(path, lambda temporary: _write_text(temporary, text))
        return path

    def read(self, trial_id: str) -> Record | None:
        """The record of a trial; None where there is none.

        Raises `DamagedRecordError` where it is not to be believed, `NewerRecordError` where a later version wrote it,
        and `RecordError` where the disk does not give it.
        """
        return read_record(self.folder_of(trial_id))

    def disagreement(self, trial_id: str, name: FileName) -> str:
        """What is wrong with a file of a trial, by its record; empty where nothing is, or nothing is told."""
        record = self.read(trial_id)
        return "" if record is None else disagreement(self.folder_of(trial_id) / name, record.files)

    def trial_ids(self) -> list[str]:
        """Every trial that left something, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())

    def survey(self, trial_ids: Iterable[str] | None = None) -> Survey:
        """Reads the records of these trials, or of all; whatever is wrong with one does not stop the others."""
        found = Survey(records={}, damaged={}, left_alone={})
        for trial_id in self.trial_ids() if trial_ids is None else trial_ids:
            try:
                record = self.read(trial_id)
            except DamagedRecordError as error:
                found.damaged[trial_id] = str(error)
            except RecordError as error:
                found.left_alone[trial_id] = str(error)
            else:
                if record is not None:
                    found.records[trial_id] = record
        return found

    def missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials to be run: without a record to believe, or with one of a failure or timeout."""
        return self.survey(trial.id for trial in trials).to_run(trials)

    def set_aside(self, trial_id: str, *, reason: str) -> Path:
        """Moves a trial's folder to `results/quarantine/<trial id>-<n>/`, with the reason in a file; returns where.

        Raises `DiskError` where the disk does not take it; then the folder stays.
        """
        quarantine, folder = self.results / QUARANTINE, self.folder_of(trial_id)
        with disk_explained(quarantine):
            quarantine.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "reason.txt", lambda temporary: _write_text(temporary, reason + "\n"))
            for number in itertools.count(1):
                place = quarantine / f"{trial_id}-{number}"
                try:
                    folder.rename(place)
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # this number is taken
                        continue
                    raise
                return place
        raise AssertionError("numbers do not end")


def read_record(folder: Path) -> Record | None:
    """The record in a trial's folder, as `Store.read` tells it."""
    path = folder / RECORD
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DamagedRecordError(f"{path}: not text ({error}); {AGAIN}") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error}); the record is left alone") from None
    return decode(text, trial_id=folder.name, where=str(path))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
