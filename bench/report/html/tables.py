"""Tables as the page lays them out: columns with heads and sides, rows with addresses that stay."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report.frames import CORE
from bench.report.names import head
from bench.report.tables.formats import numeric_columns

# Text that tells how a row came out, not which row it is.
OUTCOMES = (
    "status", "error", "reason", "parameters_checksum", "batches_checksum", "seeds", "runs", "task solved",
    "quality_verdict", "update_ratio_verdict", "verdict", "in", "shows", "numbers", "why", "protocol", "native",
    "of passes",
)  # fmt: skip
# A longer cell is broken into lines; shorter ones stand on one.
PROSE_CHARACTERS = 56


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """A table of text; rows whose `status` is not ok are marked.

    Attributes:
        caption: what it shows.
        text: cells; columns are called as in the record. Rows are filtered by `task`, `framework`, and `cell` or
            `configuration` (its part before the first comma is the cell).
        note: small print below.
        trials: the ids of the trials that each row is made of, with spaces between; empty where that is not told.
    """

    caption: str
    text: pd.DataFrame
    note: str = ""
    trials: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its name in the record, its head for people, and what it holds: numbers, sentences or short words."""

    key: str
    head: str
    numeric: bool
    prose: bool

    @property
    def kind(self) -> str:
        """The class of its cells."""
        return "number" if self.numeric else "prose" if self.prose else "word"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: its address, its cells, whether it stands for trials that did not all end well, and for which."""

    identifier: str
    cells: Sequence[str]
    troubled: bool
    trials: str


@dataclass(frozen=True, kw_only=True)
class LaidOut:
    """A table ready for the page."""

    caption: str
    note: str
    columns: Sequence[Column]
    rows: Sequence[Row]


class Identifiers:
    """Hands out identifiers, each once on a page."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def new(self, wanted: str) -> str:
        """The wanted one, or the same with a number behind where it is taken."""
        self._taken[wanted] += 1
        return wanted if self._taken[wanted] == 1 else self.new(f"{wanted}-{self._taken[wanted]}")


def _longest_cells(text: pd.DataFrame) -> list[int]:
    """The characters of the longest cell of each column."""
    return [max(map(len, map(str, text.iloc[:, position])), default=0) for position in range(len(text.columns))]


def lay_out(table: PageTable, *, within: str, identifiers: Identifiers) -> LaidOut:
    """A table in the section `within`.

    A row's address is made of what says which row it is, so that a link to it holds when its numbers change.
    """
    columns = [
        Column(key=str(key), head=head(str(key)), numeric=numeric, prose=longest > PROSE_CHARACTERS)
        for key, numeric, longest in zip(
            table.text.columns, numeric_columns(table.text), _longest_cells(table.text), strict=True
        )
    ]
    naming = [
        position
        for position, column in enumerate(columns)
        if (column.key in CORE or not column.numeric) and column.key not in OUTCOMES
    ]
    status = next((position for position, column in enumerate(columns) if column.key == "status"), None)
    rows = []
    trials = table.trials or [""] * len(table.text)
    for cells, ids in zip(table.text.astype(str).to_numpy().tolist(), trials, strict=True):
        name = "\n".join([table.caption, *(f"{columns[position].key}={cells[position]}" for position in naming)])
        address = hashlib.sha256(name.encode()).hexdigest()[:10]
        troubled = status is not None and cells[status] != "ok"
        identifier = identifiers.new(f"{within}-{address}")
        rows.append(Row(identifier=identifier, cells=cells, troubled=troubled, trials=ids))
    return LaidOut(caption=table.caption, note=table.note, columns=columns, rows=rows)
