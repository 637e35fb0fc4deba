"""Records: what a trial leaves behind, and the store that writes them so that nothing is lost.

results/<sweep>/<trial id>/record.json     one flat record
                           curve.csv       evaluations by step
                           steps.npz       raw times of every training step
                           gates.npz       some test sequences with their gates
                           best.npz        parameters that were best on validation
                           final.npz       parameters after the last step
                           tensorboard/    events
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import RecordError
from bench.trial import Trial, build_trial
from bench.validation import explain
from impls.contract import Array

Status = Literal["ok", "diverged", "failed", "timeout"]
FINISHED: tuple[Status, ...] = ("ok", "diverged")


class Record(BaseModel):
    """One trial's result: flat, documented, the only thing that reports read.

    Numbers without a prefix are those of the test data with the parameters that were best on validation; `final_…`
    those with the parameters after the last step. Updates are counted per sequence, over real steps.
    """

    model_config = ConfigDict(extra="forbid")

    # Who
    trial_id: str
    pair_id: str = Field(description="the same for trials that differ in the framework alone")
    sweep: str
    task: str
    options: dict[str, Any] = Field(description="the task's options, defaults included")
    length: int = Field(description="time steps of a sequence, padding included")
    cell: str
    units: tuple[int, ...]
    framework: str
    engine: str
    device: str
    seed: int
    budget: str
    budget_cost: float = Field(description="λ")
    budget_target: float
    p_skip: float
    period: int = Field(default=1, description="the periodic-skip baseline: only every how manyth step updates")
    activation: str
    forget_bias: float
    layer_norm: bool
    update_bias: float
    initial_state: str
    gate: str
    gate_layer: int
    protocol: dict[str, Any]
    # What came out
    status: Status
    error: str = Field(default="", description="one line; empty where status is ok")
    traceback: str = ""
    quality_metric: str
    higher_is_better: bool
    quality: float | None = None
    solved: bool | None = Field(default=None, description="None for tasks without a criterion")
    loss: float | None = Field(default=None, description="the task's loss, without the budget's")
    update_ratio: float | None = Field(default=None, description="mean over sequences of updates / steps")
    update_ratio_std: float | None = Field(default=None, description="standard deviation over sequences")
    updates: float | None = None
    updates_std: float | None = None
    validation_quality: float | None = None
    best_step: int | None = Field(default=None, description="training steps done at the best validation")
    final_quality: float | None = None
    final_loss: float | None = None
    final_update_ratio: float | None = None
    final_updates: float | None = None
    # What it cost
    implementation: str = Field(
        default="", description="what the engine ran, by device and type: reference, kernels, operations, rounds"
    )
    flops_per_sequence: float | None = Field(default=None, description="published formula × updates")
    work_per_sequence: float | None = Field(
        default=None, description="multiply–accumulates that the implementation did in the same products"
    )
    steps: int | None = Field(default=None, description="training steps done")
    steps_per_epoch: int | None = Field(default=None, description="1 for generated data")
    compile_seconds: float | None = Field(default=None, description="the first training step")
    train_seconds: float | None = Field(default=None, description="all later training steps")
    evaluate_seconds: float | None = None
    total_seconds: float | None = Field(default=None, description="the trial's process, imports included")
    step_milliseconds: float | None = Field(default=None, description="median over training steps but the first")
    batch_milliseconds: float | None = Field(default=None, description="median time to make one batch")
    sequences_per_second: float | None = Field(default=None, description="batch size / median step")
    peak_memory_bytes: int | None = Field(default=None, description="of the GPU, or of the process on the CPU")
    # What it stood on
    parameters_checksum: str = ""
    batches_checksum: str = Field(default="", description="of the first three training batches")
    threads: int | None = Field(default=None, description="how many the framework's operators could use")
    environment: dict[str, Any] = Field(default_factory=dict)
    finished: str = Field(default="", description="when the record was written, UTC")


def failure(trial: Trial, *, sweep: str, status: Status, error: str, traceback: str = "") -> Record:
    """The record of a trial that did not end by itself."""
    return Record(**identity(trial, sweep=sweep), status=status, error=error, traceback=traceback)


def identity(trial: Trial, *, sweep: str) -> dict[str, Any]:
    """The fields of a record that say which trial it is of; they need no data set."""
    task = trial.build_task()
    content = trial.model_dump(mode="json", exclude={"options", "protocol"})
    return {
        **content,
        "trial_id": trial.id,
        "pair_id": trial.pair_id(),
        "sweep": sweep,
        "options": task.options.model_dump(mode="json"),
        "length": task.length,
        "protocol": trial.protocol.model_dump(mode="json"),
        "quality_metric": task.quality_metric,
        "higher_is_better": task.higher_is_better,
    }


def trial_of(record: Record) -> Trial:
    """The trial that a record is of."""
    fields = {name: getattr(record, name) for name in Trial.model_fields}
    return build_trial(fields, where=f"record {record.trial_id}")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under a temporary name beside it, syncs, and renames: readers see all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
        """Removes what an unfinished run of a trial left."""
        shutil.rmtree(self.folder_of(trial_id), ignore_errors=True)

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
