"""The results table: seeds aggregated, as numbers for machines and as text for people (CSV, Markdown, LaTeX)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.plan.trial import Trial
from bench.records.record import FINISHED
from bench.report.company import MARK, MIXED, common_company
from bench.report.frames import CORE, LABELS, STATUSES, configuration_fields, rows_of, told_fields
from bench.report.load import BUSY, equally_busy
from bench.report.names import cell_name, evaluation_name, framework_name, head, metric_head, metric_scale, plain
from bench.report.numbers import NO_NUMBER, NONE, spread

# Record fields that a table aggregates over seeds, in order.
MEASURES = (
    "quality", "update_ratio", "updates", "flops_per_sequence", "work_per_sequence", "step_milliseconds",
    "reported_step_milliseconds", "wait_milliseconds", "inference_milliseconds", "inference_milliseconds_batch_1",
    "train_seconds", "total_seconds",
)  # fmt: skip
# Those that depend on what else the machine did. Not every trial has all of them: an older record lacks what is timed
# since.
TIMES = tuple(name for name in MEASURES if name.endswith(("milliseconds", "milliseconds_batch_1", "seconds")))
# What a trial came to: over some of the trials a mean would tell of these, and hide the one that came to none.
OUTCOMES = tuple(name for name in MEASURES if name not in TIMES)

# Columns that a readable table leaves to the CSV: the problem's name tells the task, its length and its options.
UNREAD = (*LABELS, "options", "length")

# Of the core, what labels and problems do not tell where it is the same everywhere.
SHARED = ("units", "engine", "device", "budget")

# Columns whose values have names for people.
NAMED = {"cell": cell_name, "framework": framework_name, "reported": evaluation_name}

# Columns that a readable table keeps even where every row has the same value.
ALWAYS = ("task", "cell", "framework", "quality", "metric", "reported", "update_ratio", "step_milliseconds", "status")


def aggregate(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a configuration, labels first; `<measure>_mean` and `<measure>_std` are over trials that ended ok.

    `<measure>_trials` counts those that have the number. Of quality, updates and work a mean is over all or none, as in
    the paper's tables; of a time it is over those that have it.
    The standard deviation is the sample's (divisor n − 1); one seed has none. `solved` counts trials that met
    the task's criterion, out of `solved_of` finished (ok or diverged) ones; both are empty for tasks without one.
    `company` tells whether those that ended ok ran alone; it is `mixed` where that, how busy the machine was, the
    machine or the framework's version is not the same of all, and then means of times are of neither.
    `trial_ids` are all of the row's, ended well or not, with spaces between.
    """
    names = [*LABELS, *CORE, *told_fields(trials), "quality_metric", "higher_is_better"]
    with_criterion = set(trials.loc[trials["solved"].notna(), "task"])
    place = trials.groupby(configuration_fields(trials), sort=False, dropna=False).ngroup()
    table = trials.groupby(place)[names].first(skipna=False)
    table["seeds"] = place.value_counts()
    for status in STATUSES:
        table[status] = (trials["status"] == status).groupby(place).sum()
    finished = trials["status"].isin(FINISHED)
    criterion = table["task"].isin(with_criterion)
    solved = trials["solved"].map(lambda value: value is True) & finished
    for name, counted in (("solved", solved), ("solved_of", finished)):
        table[name] = counted.groupby(place).sum().astype(float).where(criterion)
    ok = trials["status"] == "ok"
    ended = trials[["company", "machine", "versions"]].where(ok).groupby(place)
    table["company"] = ended["company"].agg(lambda each: common_company(each.dropna()))
    unlike = (ended[["machine", "versions"]].nunique() > 1).any(axis="columns")
    for of_row, loads in trials.reindex(columns=list(BUSY))[ok].groupby(place[ok]):
        unlike[of_row] |= not equally_busy(rows_of(loads))
    table.loc[unlike, "company"] = MIXED
    measured = trials[list(MEASURES)].where(ok).groupby(place)
    for measure in MEASURES:
        having = measured[measure].count()
        told = having == table["ok"] if measure in OUTCOMES else having > 0
        table[f"{measure}_mean"] = measured[measure].mean().where(told)
        table[f"{measure}_std"] = measured[measure].std(ddof=1).where(told)
        table[f"{measure}_trials"] = having
    table["trial_ids"] = trials["trial_id"].groupby(place).agg(" ".join)
    return table.reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class ReadableTable:
    """Text cells.

    Attributes:
        text: every column.
        constant: what is the same in every row, or a dash in every row, and need not be shown there; of one row what
            is not of the core.
        trial_ids: of each row's trials, with spaces between.
    """

    text: pd.DataFrame
    constant: Mapping[str, str]
    trial_ids: Sequence[str]

    @property
    def varying(self) -> pd.DataFrame:
        """The columns that tell rows apart."""
        return self.text.drop(columns=list(self.constant))


def readable(table: pd.DataFrame) -> ReadableTable:
    """The aggregated table as text: mean ± standard deviation, directions as arrows, statuses in words.

    Columns are called as in the record (`bench.report.names.head` has their heads). Quality is in its metric's unit,
    the update ratio in percent.
    """
    measured = {f"{measure}_{kind}" for measure in MEASURES for kind in ("mean", "std", "trials")}
    counted = {"quality_metric", "higher_is_better", "seeds", "company", "solved", "solved_of", "trial_ids", *STATUSES}
    naming = [name for name in map(str, table) if name not in measured | counted | set(UNREAD)]
    rows = []
    for row in rows_of(table):
        cells = {name.removeprefix("protocol."): value_text(name, row[name]) for name in naming}
        cells["task"] = row["problem"]
        cells["seeds"] = str(row["seeds"]) if row["ok"] == row["seeds"] else f"{row['ok']} of {row['seeds']}"
        cells["status"] = status_text(row)
        for measure in MEASURES:
            cells[measure] = mean_text(row, measure, scale=scale_of(measure, metric=row["quality_metric"]))
            if measure == "quality":
                cells["metric"] = metric_head(row["quality_metric"], higher_is_better=row["higher_is_better"])
            if measure == "update_ratio":
                cells["solved"] = solved_text(row)
        cells["company"] = row["company"] or NONE
        rows.append(cells)
    text = pd.DataFrame(rows)
    settings = {name.removeprefix("protocol.") for name in settings_columns(table)}
    constant = {
        str(name): str(text[name].iloc[0])
        for name in text
        if name not in ALWAYS and text[name].nunique() == 1 and (len(text) > 1 or name in settings)
    }
    return ReadableTable(text=text, constant=constant, trial_ids=table["trial_ids"].tolist())


def settings_columns(table: pd.DataFrame) -> list[str]:
    """The columns of an aggregated table that hold fields of a trial beyond the core."""
    return [name for name in map(str, table) if (name not in CORE and name in Trial.model_fields) or _is_protocol(name)]


def _is_protocol(name: str) -> bool:
    return name.startswith("protocol.")


def said_once(table: ReadableTable) -> list[str]:
    """Sentences on what a readable table need not show in every row; none where there is nothing."""
    same = {name: value for name, value in table.constant.items() if value != NONE}
    without = [head(name) for name, value in table.constant.items() if value == NONE]
    told = [_same(same, where="row")] if same else []
    return told + ([f"Without a value in every row: {', '.join(without)}."] if without else [])


def settings_said(table: pd.DataFrame, *, where: str) -> list[str]:
    """How the trials of an aggregated table were made: what all share, then what those of one problem do alone.

    For tables whose rows are named by labels, which tell the rest. `where` is what they are called: row or trial.
    """
    names = [*SHARED, *settings_columns(table)]
    everywhere = [name for name in names if table[name].nunique(dropna=False) == 1]
    told = [_same(_facts(table, everywhere), where=where)]
    for problem, rows in table.groupby("problem", sort=False):
        own = [name for name in names if name not in everywhere and rows[name].nunique(dropna=False) == 1]
        facts = _facts(rows, own)
        told += [_same(facts, where=f"{where} of {problem}")] if facts else []
    return told


def _facts(table: pd.DataFrame, names: Sequence[str]) -> dict[str, str]:
    first = rows_of(table)[0]
    values = {name: value_text(name, first[name]) for name in names}
    return {name: value for name, value in values.items() if value != NONE}


def _same(facts: Mapping[str, str], *, where: str) -> str:
    return f"The same in every {where}: {', '.join(f'{head(name)}: {value}' for name, value in facts.items())}."


def status_text(row: Mapping[str, Any]) -> str:
    """`ok`, or how many trials ended how."""
    counts = {status: row[status] for status in STATUSES if row[status]}
    if set(counts) == {"ok"}:
        return "ok"
    return next(iter(counts)) if row["seeds"] == 1 else ", ".join(f"{n} {status}" for status, n in counts.items())


def mean_text(row: Mapping[str, Any], measure: str, *, scale: float = 1.0) -> str:
    """`mean ± deviation` of an aggregated row; what not all of its trials have is no mean, or a time of so many.

    Such as `7.50 ± 0.71 (2 of 5)`.
    """
    having, ok = row[f"{measure}_trials"], row["ok"]
    if not having:
        return NONE
    if having < ok and measure in OUTCOMES:
        return NO_NUMBER
    text = spread(scale * row[f"{measure}_mean"], scale * row[f"{measure}_std"])
    if measure in OUTCOMES:
        return text
    return text + (f" ({having} of {ok})" if having < ok else "") + time_mark(row)


def time_mark(row: Mapping[str, Any]) -> str:
    """What stands behind a mean time of trials beside different load, on unlike machines or with unlike versions."""
    return MARK if row["company"] == MIXED else ""


def scale_of(measure: str, *, metric: str) -> float:
    """What a record's number is multiplied with to be shown: shares are shown in percent."""
    if measure == "quality":
        return metric_scale(metric)
    return 100.0 if measure == "update_ratio" else 1.0


def solved_text(row: Mapping[str, Any]) -> str:
    """How many of the finished trials solved the task; a dash for tasks without a criterion."""
    solved, of = row["solved"], row["solved_of"]
    return NONE if pd.isna(solved) or of == 0 else f"{solved:.0f} of {of:.0f}"


def value_text(name: str, value: Any) -> str:
    """A configuration's value as text; a dash for none."""
    if value is None or value == "" or (isinstance(value, float) and pd.isna(value)):
        return NONE
    return NAMED[name](value) if name in NAMED else plain(value)
