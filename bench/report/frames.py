"""Records as tidy data frames: a row a trial, a row an evaluation, and the labels that plots and tables share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import RecordError
from bench.plan.trial import Trial
from bench.records.files import FileName, disagreement
from bench.records.listing import read_listing
from bench.records.record import Record, identity, unasked
from bench.records.store import QUARANTINE, Store, Survey
from bench.report.company import company
from bench.report.labels import problem_names, variant_names
from bench.report.machines import conditions_of, moved, versions_of
from bench.report.names import configuration_name
from bench.report.task_options import options_text
from impls.contract import Array
from impls.kinds import cells

MISSING = "missing"
REASON = "reason.txt"  # beside a record in quarantine
EXAMPLES: FileName = "gates.npz"
STATUSES = ("ok", "diverged", "failed", "timeout", MISSING)
NUMBERS = tuple(
    name for name, field in Record.model_fields.items() if field.default is None and name not in ("solved",)
)
MEMORY = "environment.memory_bytes"
# What every table names; other fields of a trial join them where they vary.
CORE = (
    "task",
    "options",
    "length",
    "cell",
    "units",
    "framework",
    "engine",
    "device",
    "budget",
    "budget_cost",
    "p_skip",
    "period",
    "reported",
)
# Columns that only name things in plots and prose.
LABELS = ("problem", "variant", "label")
# What a record says of its task, and one whose task could not be asked leaves empty.
OF_TASK = ("task_options", "length", "quality_metric", "higher_is_better", "reported")
# What tells seeds and twins of one configuration apart.
WITHIN = ("seed", "framework")


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column name, as `to_dict("records")` gives them, in a quarter of its time."""
    names = list(frame.columns)
    columns = [column.tolist() for _, column in frame.items()]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def read_records(sweep: str, *, results: Path, trials: Sequence[Trial] | None = None) -> Survey:
    """The records of a sweep, and what is wrong with those that cannot be believed.

    Args:
        sweep: its name.
        results: the folder of all records.
        trials: what the sweep asks for; None asks for what it was when it was last run.

    Raises `RecordError` where there is no record to believe.
    """
    listing = read_listing(results, sweep) if trials is None else None
    wanted = [trial.id for trial in trials or ()] if listing is None else listing.trials
    survey = Store(results).survey(wanted)
    if not survey.records:
        problems = list(survey.problems().values())
        if problems:
            raise RecordError("\n".join(problems))
        asked = sweep if trials is None else f"the {len(trials)} trials asked for"
        raise RecordError(f"{results}: no records of {asked}; run the sweep first: python run_all.py {sweep}")
    return survey


def sweep_frame(
    survey: Survey, *, trials: Sequence[Trial] | None = None, problems: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The frame of a sweep's records; trials without one to believe are missing, with what is wrong as their error.

    Args:
        survey: what was found.
        trials: what the sweep asks for; None asks for what was found.
        problems: what is wrong, by trial id; None for what the survey tells.
    """
    missing = [trial for trial in trials or () if trial.id not in survey.records]
    return trials_frame(survey.records.values(), missing=missing, problems=problems or survey.problems())


def set_aside(trial_ids: Iterable[str], *, results: Path) -> dict[str, str]:
    """Which of these trials have a record in quarantine, and why it was put there: one line each, by trial id."""
    wanted, found = set(trial_ids), {}
    for folder in sorted((results / QUARANTINE).glob("*-*")):
        trial_id = folder.name.rpartition("-")[0]
        reason = folder / REASON
        if trial_id in wanted:
            found[trial_id] = f"set aside in {folder}: {_reason(reason)}"
    return found


def _reason(path: Path) -> str:
    """Why a record was put there, as far as it can be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else "no reason is told"
    except OSError as error:
        return f"the reason cannot be read ({error.strerror})"


def trials_frame(
    records: Iterable[Record], *, missing: Sequence[Trial] = (), problems: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """One row a trial, columns by the record's field names; trials without a record have the status `missing`.

    `options` becomes text such as `length=50`, `units` text such as `32` or `16x24`; the protocol and environment are
    spread over columns such as `protocol.batch_size` and `environment.threads`. `company` tells from `beside` whether a
    trial ran alone, `machine` under which conditions, `versions` with which of its own framework. Three columns are
    added for people: `problem` (the task at its length, and what else tells it apart), `variant` (what sets a trial
    apart from others of its cell and problem) and `label` (cell and variant). What a trial's task could not be asked
    is what a record of the same task, options and protocol tells of it, so that its seeds stand in one row.
    """
    contents = [record.model_dump(mode="json") for record in records]
    known = problems or {}
    contents += [_asked(trial) | {"status": MISSING, "error": known.get(trial.id, "")} for trial in missing]
    if not contents:
        raise RecordError("no records to report")
    contents = _told_of_tasks(contents)
    frame = pd.DataFrame([_row(content) for content in contents])
    frame["problem"] = problem_names([(row["trial"]["task"], row["task_options"], row["length"]) for row in contents])
    for name in NUMBERS:
        frame[name] = pd.Series(frame.get(name, np.nan), index=frame.index).astype(float)
    for name in ("error", "traceback", "implementation", "parameters_checksum", "batches_checksum"):
        frame[name] = (frame[name] if name in frame else pd.Series("", index=frame.index)).fillna("").astype(str)
    if MEMORY in frame:
        frame[MEMORY] = pd.to_numeric(frame[MEMORY], errors="coerce")
    frame["company"] = frame["beside"].map(company)
    frame["moved"] = pd.Series([moved(content.get("stretches", ())) for content in contents], dtype=object)
    frame["machine"] = ["; ".join(conditions_of(row).values()) for row in rows_of(frame)]
    frame["versions"] = ["; ".join(versions_of(row).values()) for row in rows_of(frame)]
    if "solved" not in frame:
        frame["solved"] = None
    frame["solved"] = frame["solved"].astype(object).where(frame["solved"].notna(), None)
    frame["cell_order"] = [cells().index(cell) if cell in cells() else len(cells()) for cell in frame["cell"]]
    sizes = [tuple(content["trial"]["units"]) for content in contents]
    places = {size: place for place, size in enumerate(sorted(set(sizes)))}
    frame["units_order"] = [places[size] for size in sizes]  # as text 110 would stand before 16
    first = ["task", "length", "options", "cell_order", "cell", "p_skip", "period", "budget", "budget_cost"]
    first += ["units_order", "units"]
    last = ["framework", "engine", "device", "seed", "trial_id"]
    others = [name for name in configuration_fields(frame) if name not in (*first, *last)]
    frame = frame.sort_values([*first, *others, *last]).reset_index(drop=True)
    return labelled(frame.drop(columns=["cell_order", "units_order"]))


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `variant` and `label`, which name what differs within its problems and nothing else."""
    variants = variant_names(frame, fields=configuration_fields(frame))
    labels = [configuration_name(cell, variant) for cell, variant in zip(frame["cell"], variants, strict=True)]
    return frame.assign(variant=variants, label=labels)


def configuration_fields(frame: pd.DataFrame) -> list[str]:
    """The columns that decide a trial, but for its seed: the core, then the rest of the trial's fields."""
    others = [name for name in Trial.model_fields if name not in CORE and name in frame and name not in WITHIN]
    return [*CORE, *others, *(name for name in map(str, frame) if name.startswith("protocol."))]


def told_fields(frame: pd.DataFrame) -> list[str]:
    """The fields of a trial beyond the core that a table has to tell.

    They are those that differ between any two trials, of one problem or of two, the whole protocol, and what all trials
    share where it is not what a trial has by default.
    """
    others = [name for name in configuration_fields(frame) if name not in CORE]
    return [name for name in others if _has_to_be_told(name, frame[name])]


def _has_to_be_told(name: str, values: pd.Series) -> bool:
    if values.nunique(dropna=False) > 1:
        return True
    if name.startswith("protocol."):
        return bool(values.notna().all())  # of steps and epochs one is none
    return bool(values.iloc[0] != Trial.model_fields[name].default)


def curves_frame(frame: pd.DataFrame, *, store: Store) -> pd.DataFrame:
    """One row an evaluation on validation data: the curve's columns behind those that name the trial.

    A curve that is not what its record tells is left out. Raises `RecordError` for one that cannot be read.
    """
    naming = ["problem", "task", "cell", "variant", "label", "framework", "seed", "trial_id", "quality_metric"]
    parts, places = [], []
    for place, trial_id in zip(frame.index, frame["trial_id"], strict=True):
        if frame.at[place, "status"] == MISSING:
            continue
        path = store.folder_of(trial_id) / "curve.csv"
        if not path.is_file() or store.disagreement(trial_id, "curve.csv"):  # the command names it
            continue
        try:
            curve = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: not a curve ({error}); delete the trial's folder and run again") from None
        if list(curve.columns) == ["step"] and curve.empty:  # it ended before its first evaluation
            continue
        if not {"step", "quality"} <= set(curve.columns):
            raise RecordError(f"{path}: not a curve (no step and quality); delete the trial's folder and run again")
        parts.append(curve)
        places += [place] * len(curve)
    if not parts:
        return pd.DataFrame(columns=[*naming, "step", "quality"])
    # Named at once, since columns that are added to a thousand small frames take as long as reading them.
    names = frame.loc[places, naming].reset_index(drop=True)
    return pd.concat([names, pd.concat(parts, ignore_index=True)], axis="columns")


def read_examples(trial_id: str, *, store: Store) -> dict[str, Array] | None:
    """Some test sequences of a trial with their gates, `[n, time, features]` and `[n, time]`.

    None where it left none, others than its record tells, or some that cannot be read: the command names them.
    """
    path = store.folder_of(trial_id) / EXAMPLES
    if not path.is_file() or store.disagreement(trial_id, EXAMPLES):
        return None
    try:
        return _examples_in(path)
    except RecordError:
        return None


def check_examples(folder: Path, told: Mapping[FileName, str]) -> str:
    """What is wrong with the test sequences in a trial's folder; empty where nothing is, or it left none.

    Args:
        folder: the trial's.
        told: the record's checksums; where it tells none of them, they are read.
    """
    path = folder / EXAMPLES
    if EXAMPLES in told or not path.is_file():
        return disagreement(path, told)
    try:
        _examples_in(path)
    except RecordError as error:
        return str(error)
    return ""


def _examples_in(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("inputs", "gates")} | dict(arrays)
    except Exception as error:  # a damaged file makes the readers of zip and of arrays raise almost anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise RecordError(f"{path}: cannot be read ({said}); delete the trial's folder and run again") from None
    if found["gates"].ndim != 2 or found["gates"].shape != found["inputs"].shape[:2]:
        raise RecordError(f"{path}: its gates are not those of its inputs; delete the trial's folder and run again")
    return found


def _asked(trial: Trial) -> dict[str, Any]:
    """What a record says of a trial before it has run."""
    try:
        told = identity(trial)
    except Exception:  # of a task of another package, which need not be able to tell without its data
        told = unasked(trial)
    return told | {"trial": trial.model_dump(mode="json")}


def _told_of_tasks(contents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of trials whose task could not be asked, with what one of its other trials tells of it, if any does."""
    told: dict[str, dict[str, Any]] = {}
    for content in contents:
        if content["length"]:
            told.setdefault(_task_of(content), {name: content[name] for name in OF_TASK})
    return [content if content["length"] else content | told.get(_task_of(content), {}) for content in contents]


def _task_of(content: dict[str, Any]) -> str:
    """What decides all that a record says of its task."""
    return json.dumps([content["trial"][name] for name in ("task", "options", "protocol")], sort_keys=True)


def _row(content: dict[str, Any]) -> dict[str, Any]:
    """The trial's fields first, then the record's; options are those of the task, defaults included."""
    row: dict[str, Any] = {}
    flat = content["trial"] | {name: value for name, value in content.items() if name not in ("trial", "task_options")}
    for name, value in (flat | {"options": content["task_options"]}).items():
        if name == "options":
            row[name] = options_text(value)
        elif name == "units":
            row[name] = "x".join(map(str, value))
        elif isinstance(value, dict):
            row.update(_spread(name, value))
        else:
            row[name] = value
    return row


def _spread(prefix: str, value: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{prefix}.{key}"
        # A list is no value that rows are grouped by; nothing here is one unless somebody else wrote the record.
        flat |= _spread(name, inner) if isinstance(inner, dict) else {name: str(inner) if _is_list(inner) else inner}
    return flat


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
