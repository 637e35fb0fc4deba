"""A trial as other tools know it: a run with a readable name, parameters, metrics by step, tags and files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import RecordError
from bench.records.store import RECORD, Store
from bench.report.frames import MISSING, NUMBERS, configuration_fields, curves_frame, rows_of

# Columns that say what a record stood on and how it ended.
TAGS = (
    "trial_id", "pair_id", "status", "error", "quality_metric", "reported", "solved", "implementation",
    "parameters_checksum", "batches_checksum", "data_fingerprint", "command", "finished",
)  # fmt: skip
FILES = (RECORD, "curve.csv")
# Columns of a curve that are no metric of it.
POSITION = ("problem", "cell", "variant", "label", "framework", "seed", "trial_id", "quality_metric", "step")


@dataclass(frozen=True, kw_only=True)
class ExportedRun:
    """One trial with its record.

    Attributes:
        trial_id, checksum: which trial, and the checksum of its record: of equal ones nothing is to be done again.
        name: `task/cell/variant/framework/seed=0`, another for each trial of a sweep.
        ok: whether it ended ok.
        finished: when its record was written; None where that is not known.
        parameters: what decides the trial, the same names for all of a sweep.
        metrics: the record's numbers; those it has not are left out.
        curve: evaluations on validation data: the step, and its numbers as `validation/<name>`.
        tags: what it stood on, its environment, and how it ended.
        files: `record.json`, and the curve where there is one.
    """

    trial_id: str
    checksum: str
    name: str
    ok: bool
    finished: datetime | None
    parameters: Mapping[str, str | float | bool]
    metrics: Mapping[str, float]
    curve: tuple[tuple[int, Mapping[str, float]], ...]
    tags: Mapping[str, str]
    files: tuple[Path, ...]


def exported_runs(frame: pd.DataFrame, *, store: Store, sweep: str) -> Iterator[ExportedRun]:
    """Every trial of the frame that has a record. Raises `RecordError` for a file that cannot be read."""
    recorded = frame[frame["status"] != MISSING]
    curves = dict(iter(curves_frame(recorded, store=store).groupby("trial_id")))
    names = _names(recorded)
    fields = [*configuration_fields(recorded), "seed"]
    environment = [str(name) for name in recorded if str(name).startswith("environment.")]
    for row in rows_of(recorded):
        folder = store.folder_of(row["trial_id"])
        tags = {"sweep": sweep} | {name: _text(row.get(name)) for name in (*TAGS, *environment)}
        finished = _text(row.get("finished"))
        yield ExportedRun(
            trial_id=row["trial_id"],
            checksum=_checksum(folder / RECORD),
            name=names[row["trial_id"]],
            ok=row["status"] == "ok",
            finished=datetime.fromisoformat(finished) if finished else None,
            parameters={name.removeprefix("protocol."): _parameter(row[name]) for name in fields},
            metrics={name: float(row[name]) for name in NUMBERS if name in row and math.isfinite(row[name])},
            curve=_curve(curves.get(row["trial_id"])),
            tags={name: text for name, text in tags.items() if text},
            files=tuple(folder / name for name in FILES if (folder / name).is_file()),
        )


def _names(frame: pd.DataFrame) -> dict[str, str]:
    """A readable name for each trial; the options stand in it where a task has several, the id where two are alike."""
    several = frame.groupby("task")["problem"].transform("nunique") > 1
    tasks = frame["problem"].where(several, frame["task"])
    rows = zip(tasks, frame["cell"], frame["variant"], frame["framework"], frame["seed"], frame["device"], strict=True)
    devices = frame["device"].nunique() > 1
    parts = [[*row[:4], f"seed={row[4]}", row[5] if devices else ""] for row in rows]
    names = pd.Series(["/".join(part.replace("/", "_") for part in some if part) for some in parts])
    twice = names.duplicated(keep=False)
    return {
        trial_id: f"{name}/{trial_id}" if again else name
        for trial_id, name, again in zip(frame["trial_id"], names, twice, strict=True)
    }


def _curve(rows: pd.DataFrame | None) -> tuple[tuple[int, Mapping[str, float]], ...]:
    if rows is None:
        return ()
    measures = [str(name) for name in rows if name not in POSITION]
    return tuple(
        (int(row["step"]), {f"validation/{name}": float(row[name]) for name in measures if _finite(row[name])})
        for row in rows_of(rows)
    )


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _checksum(path: Path) -> str:
    """The checksum that stands in a record; empty in those of the first schema."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("checksum", ""))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from None


def _parameter(value: Any) -> str | float | bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else ""
    return _text(value)


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
