"""Tables 1 to 6 as text for people: the paper's rows, each with ours under it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.frames import MISSING, STATUSES, rows_of
from bench.report.glossary import evaluation_words
from bench.report.names import framework_name
from bench.report.numbers import NONE
from bench.report.paper.cells import measured_cells, published_cells, runs_text
from bench.report.paper.layout import PUBLISHED_RUNS, PaperTable, paper_tables
from bench.report.paper.measured import measured_rows
from bench.report.paper.models import model_name
from bench.report.paper.protocol import departures, fewer_runs
from bench.report.paper.published import trials_of

HEADS = {"solved": "task solved", "accuracy": "accuracy", "map_percent": "mAP (%)"}
PAPER, OURS = "paper", "ours"
NAMING_COLUMNS = ("model", "source", "runs")


@dataclass(frozen=True, kw_only=True)
class RegeneratedTable:
    """One table of the paper with ours beside it.

    Attributes:
        layout: which.
        measured: ours in full precision, a row a published row, framework and configuration.
        text: the cells; the first row of each model is the paper's.
        groups: for each column, the head that it shares with its neighbours; empty where it has none.
        departures: how ours was trained otherwise than published, such as `64 units instead of 110`.
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
    told = tuple(filter(None, [*map(str, departures(table, of_table)), fewer_runs(of_table)]))
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
    lines = [[model, source, runs, *(cell for row in published for cell in published_cells(table, row))]]
    ours = [_by_source(rows_of(measured[measured["row"] == position])) for position in positions]
    sources = dict.fromkeys(who for of_length in ours for who in of_length)
    if len(sources) > 1:  # another length has trials of this model
        sources.pop(OURS, None)
    for who in sources:
        halves = [of_length.get(who) for of_length in ours]
        told = list(dict.fromkeys(NONE if half is None else runs_text(half) for half in halves))
        cells = [
            cell
            for half in halves
            for cell in ([NONE] * len(_columns(table)) if half is None else measured_cells(table, half))
        ]
        lines.append([model, who, " / ".join(told), *cells])
    return lines


def _by_source(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Rows by what they are called; those that no setting in words tells apart are numbered, none is lost."""
    named: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        who = _who(row)
        names = itertools.chain([who], (f"{who}, configuration {number}" for number in itertools.count(2)))
        named[next(name for name in names if name not in named)] = row
    return named


def _who(row: Mapping[str, Any]) -> str:
    return ", ".join(part for part in (framework_name(row["framework"]), row["settings"]) if part) or OURS


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
