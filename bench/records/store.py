"""The store: what trials leave behind, written so that nothing is lost.

results/<sweep>/<trial id>/record.json     one flat record
                           curve.csv       evaluations by step
                           steps.npz       raw times of every training step
                           gates.npz       some test sequences with their gates
                           best.npz        parameters that were best on validation
                           final.npz       parameters after the last step
                           tensorboard/    events
                           checkpoint-<step>.npz    while it is unfinished: what it goes on from
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from bench.errors import RecordError, explain
from bench.machine.disk import write_atomically
from bench.plan.trial import Trial
from bench.records.record import FINISHED, Record
from impls.contract import Array

EVENTS, CHECKPOINTS = "tensorboard", "checkpoint-*.npz"


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """A compressed `.npz`, atomically."""
    # NumPy's stub takes the first keyword for a flag.
    save: Callable[..., None] = np.savez_compressed
    write_atomically(path, lambda temporary: save(temporary, **arrays))


def write_curve(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV with one row an evaluation, atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["step"])
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


class Store:
    """The records of one sweep under `results/<sweep>/`."""

    def __init__(self, results: Path, sweep: str) -> None:
        self.folder = results / sweep
        self.sweep = sweep

    def folder_of(self, trial_id: str) -> Path:
        """Where a trial keeps its files."""
        return self.folder / trial_id

    def clear(self, trial_id: str) -> None:
        """Removes what an unfinished run of a trial left, but for what it may go on from."""
        folder = self.folder_of(trial_id)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name == EVENTS or path.match(CHECKPOINTS):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def write(self, record: Record) -> Path:
        """Writes a record, dated; returns its path. Infinite and NaN numbers become null."""
        if not record.finished:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            record = record.model_copy(update={"finished": now})
        path = self.folder_of(record.trial_id) / "record.json"
        text = json.dumps(_finite(record.model_dump(mode="json")), indent=2, allow_nan=False)
        write_atomically(path, lambda temporary: _write_text(temporary, text + "\n"))
        return path

    def read(self, trial_id: str) -> Record | None:
        """The record of a trial; None where there is none. Raises `RecordError` where it cannot be read."""
        path = self.folder_of(trial_id) / "record.json"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: cannot be read ({error}); repair or delete it and run again") from None
        try:
            return Record.model_validate(json.loads(text))
        except json.JSONDecodeError as error:
            raise RecordError(f"{path}: not valid JSON ({error}); delete it and run again") from None
        except ValidationError as error:
            raise RecordError(explain(error, Record, where=str(path))) from None

    def records(self) -> Iterator[Record]:
        """Every record, by id."""
        for path in sorted(self.folder.glob("*/record.json")):
            record = self.read(path.parent.name)
            if record is not None:
                yield record

    def missing(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that have not finished: without a record, or with one of a failure or timeout."""
        records = {trial.id: self.read(trial.id) for trial in trials}
        return [trial for trial in trials if (have := records[trial.id]) is None or have.status not in FINISHED]


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
