"""Tables 1 to 6 as text for people: the paper's rows, each with ours under it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.frames import MISSING, STATUSES, rows_of
from bench.report.numbers import NONE, exponent
from bench.report.page.glossary import evaluation_words
from bench.report.paper.layout import PUBLISHED_RUNS, PaperTable, paper_tables
from bench.report.paper.measured import agrees, measured_rows
from bench.report.paper.models import framework_name, model_name
from bench.report.paper.published import PublishedRow, trials_of
from bench.report.paper.settings import departures

HEADS = {"solved": "task solved", "accuracy": "accuracy", "map_percent": "mAP (%)"}
QUALITY_DECIMALS = {"accuracy": 3, "map_percent": 2}
PAPER, OURS = "paper", "ours"
NOT_IN_SWEEP = "not in this sweep"
NAMING_COLUMNS = ("model", "source", "runs")


@dataclass(frozen=True, kw_only=True)
class RegeneratedTable:
    """One table of the paper with ours beside it.

    Attributes:
        layout: which.
        measured: ours in full precision, a row a published row, framework and configuration.
        text: the cells; the first row of each model is the paper's.
        groups: for each column, the head that it shares with its neighbours; empty where it has none.
        departures: how ours was trained otherwise than published, such as `64 units for 110`.
        head: what stands above it: the title, the departures, and how to read it.
    """

    layout: PaperTable
    measured: pd.DataFrame
    text: pd.DataFrame
    groups: tuple[str, ...]
    departures: tuple[str, ...]
    head: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its files' name without the ending."""
        return f"table-{self.layout.number}"

    @property
    def caption(self) -> str:
        """The head in one line."""
        return f"Table {self.layout.number}: {' '.join(self.head)}"


def regenerated_tables(trials: pd.DataFrame) -> list[RegeneratedTable]:
    """The paper's tables that a sweep has trials for, in order."""
    return [table for layout in paper_tables() if (table := regenerate(layout, trials)) is not None]


def regenerate(table: PaperTable, trials: pd.DataFrame) -> RegeneratedTable | None:
    """The table of a sweep's trials; None where the sweep has no trial for it."""
    measured = measured_rows(table, trials)
    if measured.empty:
        return None
    of_table = pd.concat([trials_of(row, trials) for row in table.rows if row.of_this_project])
    told = tuple(departures(table, of_table))
    columns = _columns(table)
    groups = [f"T = {length}" for length in table.lengths] or [""]
    heads = [*NAMING_COLUMNS, *(f"{group}: {name}" if group else name for group in groups for name in columns)]
    rows = [row for model in _models(table) for row in _model_rows(table, model, measured)]
    return RegeneratedTable(
        layout=table,
        measured=measured,
        text=pd.DataFrame(rows, columns=heads),
        groups=(*[""] * len(NAMING_COLUMNS), *(group for group in groups for _ in columns)),
        departures=told,
        head=_head(table, of_table, told),
    )


def _columns(table: PaperTable) -> list[str]:
    quality, updates = HEADS[table.metric], "updates (%)" if table.updates_unit == "percent" else "updates"
    columns = [quality] if table.metric == "solved" else [quality, f"{quality.removesuffix(' (%)')} − paper"]
    columns += [updates, "updates − paper"]
    return [*columns, *(["FLOPs", "FLOPs / paper"] if table.has_flops else [])]


def _models(table: PaperTable) -> list[tuple[int, ...]]:
    """Positions of the published rows that stand in one printed row: one, or one a length."""
    width = max(1, len(table.lengths))
    return [tuple(range(start, start + width)) for start in range(0, len(table.rows), width)]


def _model_rows(table: PaperTable, positions: Sequence[int], measured: pd.DataFrame) -> list[list[str]]:
    published = [table.rows[position] for position in positions]
    model = model_name(published[0])
    runs = str(PUBLISHED_RUNS) if published[0].of_this_project else NONE
    source = PAPER if published[0].of_this_project else "cited by the paper"
    lines = [[model, source, runs, *(cell for row in published for cell in _published_cells(table, row))]]
    ours = [{_who(row): row for row in rows_of(measured[measured["row"] == position])} for position in positions]
    sources = dict.fromkeys(who for of_length in ours for who in of_length)
    if len(sources) > 1:  # another length has trials of this model
        sources.pop(OURS, None)
    for who in sources:
        halves = [of_length.get(who) for of_length in ours]
        told = list(dict.fromkeys(NONE if half is None else runs_text(half) for half in halves))
        cells = [cell for half in halves for cell in _measured_cells(table, half)]
        lines.append([model, who, " / ".join(told), *cells])
    return lines


def _who(row: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (framework_name(row["framework"]), row["settings"]) if part) or OURS


def runs_text(row: Mapping[str, Any]) -> str:
    """How many runs ended ok, of how many, and how the others ended."""
    if not row["asked"]:
        return NOT_IN_SWEEP
    if row["runs"] == row["asked"]:
        return str(row["runs"])
    others = {status: row[status] for status in STATUSES if status != "ok" and row[status]}
    if others == dict.fromkeys(others, row["asked"]):  # all of them, in one way
        return f"0 of {row['asked']} ({next(iter(others))})"
    return f"{row['runs']} of {row['asked']} ({', '.join(f'{count} {status}' for status, count in others.items())})"


def _published_cells(table: PaperTable, row: PublishedRow) -> list[str]:
    if table.metric == "solved":
        cells = [NONE if row.solved is None else "yes" if row.solved else "no"]
    else:
        cells = [_spread(row.value, row.value_std, decimals=QUALITY_DECIMALS[table.metric]), ""]
    cells += [_spread(row.updates, row.updates_std, decimals=table.updates_decimals), ""]
    return cells + ([_flops(row.inference_flops), ""] if table.has_flops else [])


def _measured_cells(table: PaperTable, row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return [NONE] * len(_columns(table))
    if table.metric == "solved":
        cells = [solved_text(row)]
    else:
        cells = _number_cells(row, "quality", decimals=QUALITY_DECIMALS[table.metric])
    updates = _number_cells(row, "updates", decimals=table.updates_decimals)
    if table.updates_unit == "samples" and row["runs"] and table.length not in (None, row["measured_length"]):
        updates[0] += f" (of {row['measured_length']:.0f})"
    cells += updates
    if table.has_flops:
        ratio = row["flops_mean"] / row["published_flops"]
        cells += [_flops(row["flops_mean"]), NONE if pd.isna(ratio) else f"{ratio:.2f}"]
    return cells


def solved_text(row: Mapping[str, Any]) -> str:
    """`yes` where every run solved the task, `no` where every run ended and none did, else how many did."""
    if not row["finished"]:
        return NONE
    if row["solved"] == row["asked"]:
        text = "yes"
    elif row["solved"] == 0 and row["finished"] == row["asked"]:
        text = "no"
    else:
        text = f"{row['solved']} of {row['asked']}"
    return f"{text} (≠ paper)" if agrees(row) is False else text


def _number_cells(row: Mapping[str, Any], name: str, *, decimals: int) -> list[str]:
    mean, deviation, difference = (row[f"{name}_{part}"] for part in ("mean", "std", "difference"))
    if pd.isna(mean) and row["runs"]:
        return ["no number", NONE]
    return [_spread(mean, deviation, decimals=decimals), _signed(difference, decimals=decimals)]


def _signed(difference: float, *, decimals: int) -> str:
    """With its sign, unless it rounds to nothing."""
    if math.isnan(difference):
        return NONE
    rounded = round(difference, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", "−") if rounded else f"{0:.{decimals}f}"


def _spread(mean: float | None, deviation: float | None, *, decimals: int) -> str:
    """The places that the paper prints, so that the two can be read side by side."""
    if mean is None or pd.isna(mean):
        return NONE
    text = f"{mean:.{decimals}f}"
    return text if deviation is None or pd.isna(deviation) else f"{text} ± {deviation:.{decimals}f}"


def _flops(value: float | None) -> str:
    return NONE if value is None or pd.isna(value) else exponent(value, digits=3)


def _head(table: PaperTable, trials: pd.DataFrame, told: Sequence[str]) -> tuple[str, ...]:
    lines = [f"{table.title}."]
    if told:
        lines.append(f"Not the published protocol: {'; '.join(told)}.")
    over = "Mean ± sample standard deviation over runs"
    if table.updates_deviation == "sequences":
        over += ", the ± of updates over test sequences"
    lines.append(f"{over}; ours on test data, {evaluation_words(sorted(trials['reported'].unique()))}.")
    left_out = {status: int((trials["status"] == status).sum()) for status in STATUSES if status != "ok"}
    if any(left_out.values()):
        counts = ", ".join(f"{count} {status}" for status, count in left_out.items() if count)
        lines.append(f"Of {len(trials)} runs {counts}: in no mean.")
    if left_out[MISSING] == len(trials):
        lines.append("Nothing of it has run yet.")
    return tuple(lines)
