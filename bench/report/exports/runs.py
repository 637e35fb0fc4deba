"""A trial as other tools know it: a run with a readable name, parameters, metrics by step, tags and files."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import RecordError
from bench.records.store import RECORD, Store
from bench.report.frames import MISSING, NUMBERS, configuration_fields, curves_frame, rows_of
from bench.report.task_options import options_of

# Columns that say what a record stood on and how it ended.
TAGS = (
    "trial_id", "pair_id", "status", "error", "quality_metric", "reported", "solved", "implementation",
    "parameters_checksum", "batches_checksum", "data_fingerprint", "command", "finished",
)  # fmt: skip
FILES = (RECORD, "curve.csv")
# Bytes of a part of a run's name; most disks take 255.
LONGEST_PART = 150
# What has a place of its own in a run's name; the length is told by the options or follows from the data.
PLACED = ("task", "options", "length", "cell", "framework")
# The values of fields that say nothing where others of a task have some: no cost, no skips.
UNSET = {"budget_cost": 0, "p_skip": 0, "period": 1}
# Columns of a curve that are no metric of it.
POSITION = ("problem", "cell", "variant", "label", "framework", "seed", "trial_id", "quality_metric", "step")


@dataclass(frozen=True, kw_only=True)
class ExportedRun:
    """One trial with its record.

    Attributes:
        trial_id, checksum: which trial, and the checksum of its record: of equal ones nothing is to be done again.
        name: `task/cell/variant/framework/seed=0`, another for each trial of a sweep, in the record's words: it stays
            when people's names for tasks and cells change. The variant is what sets configurations of a task apart.
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
        yield ExportedRun(
            trial_id=row["trial_id"],
            checksum=_checksum(folder / RECORD),
            name=names[row["trial_id"]],
            ok=row["status"] == "ok",
            finished=_date(_text(row.get("finished"))),
            parameters={name.removeprefix("protocol."): _parameter(row[name]) for name in fields},
            metrics={name: float(row[name]) for name in NUMBERS if name in row and math.isfinite(row[name])},
            curve=_curve(curves.get(row["trial_id"])),
            tags={name: text for name, text in tags.items() if text},
            files=tuple(folder / name for name in FILES if (folder / name).is_file()),
        )


def _date(text: str) -> datetime | None:
    """When a record was written; None where it does not tell a date."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _names(frame: pd.DataFrame) -> dict[str, str]:
    """A readable name for each trial; the id stands in it where two are alike."""
    names: dict[str, str] = {}
    for task, rows in frame.groupby("task", sort=False):
        told = pd.DataFrame([_told(row, configuration_fields(frame)) for row in rows_of(rows)]).fillna("")
        varying = told.columns[told.nunique() > 1]
        for row, variant in zip(rows_of(rows), told[varying].to_numpy().tolist(), strict=True):
            parts = (str(task), row["cell"], ",".join(filter(None, variant)), row["framework"], f"seed={row['seed']}")
            names[row["trial_id"]] = "/".join(_short(part.replace("/", "_")) for part in parts if part)
    alike = Counter(names.values())
    return {trial_id: name if alike[name] == 1 else f"{name}/{trial_id}" for trial_id, name in names.items()}


def _short(part: str) -> str:
    """A part of a name, which is a folder's too, at a length that every disk takes; a cut one ends in its hash."""
    text = part.encode()
    if len(text) <= LONGEST_PART:
        return part
    return f"{text[:LONGEST_PART].decode(errors='ignore')}-{hashlib.sha256(text).hexdigest()[:8]}"


def _told(row: Mapping[str, Any], fields: Sequence[str]) -> dict[str, str]:
    """Fields and options as a record has them, such as `budget_cost=1e-05`; nothing for one that is unset."""
    values = {name.removeprefix("protocol."): row[name] for name in fields if name not in PLACED}
    values |= options_of(row["options"])
    unset = {name for name, value in UNSET.items() if values[name] == value}
    return {
        name: f"{name}={_text(value)}" if name not in unset and _text(value) else "" for name, value in values.items()
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
