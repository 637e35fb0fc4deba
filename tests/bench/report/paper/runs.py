"""Runs of the paper's rows with known numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.plan.trial import Trial, build_trial
from bench.records.record import Record
from bench.report.frames import trials_frame
from bench.report.paper.layout import paper_tables
from bench.report.paper.tables import RegeneratedTable, regenerate
from tests.bench.report.stored import ok_record

# The settings by which these trials are small; a test changes those that it is about.
SMALL = {"units": 8, "protocol": {"steps": 20, "batch_size": 4}}


def made(task: str, cell: str, framework: str = "pytorch", **fields: Any) -> Trial:
    """A trial; what is not told is the paper's."""
    return build_trial({"task": task, "cell": cell, "framework": framework, **fields}, where="test")


def run(of: Trial, *, quality: float = 0.5, update_ratio: float = 1.0, **more: Any) -> Record:
    """A trial that ended ok."""
    return ok_record(of, quality=quality, update_ratio=update_ratio, **more)


def table_of(number: int, records: list[Record], *, missing: tuple[Trial, ...] = ()) -> RegeneratedTable:
    """The regenerated table of these records."""
    table = regenerate(paper_tables()[number - 1], trials_frame(records, missing=missing))
    assert table is not None
    return table


def rows_named(table: RegeneratedTable, model: str) -> pd.DataFrame:
    """The rows of a model, the paper's first, by their source."""
    rows = table.text[table.text["model"] == model]
    assert not rows.empty
    assert rows["source"].is_unique
    return rows.set_index("source")
