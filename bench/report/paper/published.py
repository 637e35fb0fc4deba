"""The paper's published numbers, and which trials of a sweep stand in which of its rows.

`published.csv` holds one row a row of Tables 1 to 6 of Campos et al., Skip RNN (ICLR 2018); `source` says who measured
it: the paper, or the work that the paper cites.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.plan.trial import Trial
from impls.kinds import skip_cells

PAPER = "paper"
# Tables that have rows of one cell and cost at two lengths.
BY_LENGTH = (4, 5)
# What may differ between trials of one row: its own fields, the size, and who computes how. A trial that differs from
# the paper in anything else is an ablation.
FREE = (
    "task", "options", "cell", "units", "framework", "engine", "device", "seed", "budget_cost", "p_skip", "protocol",
)  # fmt: skip
# The paper's value of every other field.
PLAIN = {name: field.default for name, field in Trial.model_fields.items() if name not in FREE}


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One row of a table.

    Attributes:
        table: its number.
        task: as in records.
        length: time steps; None where sequences differ.
        cell: as in records, or the name of a cell that the paper cites (`source` is then not `PAPER`).
        p_skip, budget_cost: of the random skip and λ; 0 where the row has none.
        metric: `solved`, `accuracy` or `map_percent`.
        solved: whether the task was solved; None but for the metric `solved`.
        value, value_std: the metric's mean and standard deviation over runs; None where they are not told.
        updates, updates_std: state updates of a sequence, in `updates_unit`: `percent` of the steps, or `samples`.
        inference_flops: of a sequence.
        source: `PAPER`, or the work cited.
    """

    table: int
    task: str
    length: int | None
    cell: str
    p_skip: float
    budget_cost: float
    metric: str
    solved: bool | None
    value: float | None
    value_std: float | None
    updates: float | None
    updates_std: float | None
    updates_unit: str
    inference_flops: float | None
    source: str

    @property
    def of_this_project(self) -> bool:
        """Whether the paper measured it itself, so that a sweep can measure it again."""
        return self.source == PAPER


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows, in the order of the paper's tables."""
    with (Path(__file__).parent / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(_row(content) for content in csv.DictReader(file))


def table_rows(table: int) -> tuple[PublishedRow, ...]:
    """The rows of one table, in order."""
    return tuple(row for row in published_rows() if row.table == table)


def trials_of(row: PublishedRow, trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that measure a row again, whatever their units and protocol; ablations are not among them.

    Tables 4 and 5 have rows at two lengths, and a trial must have the row's; the others take a shortened sequence for
    the row's own.
    """
    length = {"length": row.length} if row.table in BY_LENGTH else {}
    own = {"cell": row.cell, "p_skip": row.p_skip, "budget_cost": row.budget_cost}
    return trials_with(trials, task=row.task, **own, **length)


def trials_with(trials: pd.DataFrame, **fields: Any) -> pd.DataFrame:
    """The trials that have these values, and the paper's in every field that a row may not choose."""
    fits = np.ones(len(trials), bool)
    for name, value in (fields | {name: value for name, value in PLAIN.items() if name not in fields}).items():
        fits &= (trials[name] == value).to_numpy()
        if not fits.any():  # a sweep has no trial for most rows, which the first of their fields tell
            break
    return trials[fits]


def stand_ins(trials: pd.DataFrame, *, task: str, cell: str) -> pd.DataFrame:
    """The trials of another task that may stand in for a table's: a cell as the paper has it, at any λ if it skips."""
    own = trials_with(trials, task=task, cell=cell, p_skip=0.0)
    return own if cell in skip_cells() else own[own["budget_cost"] == 0]


def _row(content: dict[str, str]) -> PublishedRow:
    solves = content["metric"] == "solved"
    return PublishedRow(
        table=int(content["table"]),
        task=content["task"],
        length=int(content["length"]) if content["length"] else None,
        cell=content["cell"],
        p_skip=_number(content["p_skip"]) or 0.0,
        budget_cost=_number(content["budget_cost"]) or 0.0,
        metric=content["metric"],
        solved=content["value"] == "yes" if solves else None,
        value=None if solves else _number(content["value"]),
        value_std=_number(content["value_std"]),
        updates=_number(content["updates"]),
        updates_std=_number(content["updates_std"]),
        updates_unit=content["updates_unit"],
        inference_flops=_number(content["inference_flops"]),
        source=content["source"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
