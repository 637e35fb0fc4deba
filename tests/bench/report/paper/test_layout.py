"""The published protocol as the report tells it, against the tasks that train by it."""

from __future__ import annotations

import pytest

from bench.report.paper.layout import PaperTable, paper_tables
from bench.tasks import build_task, task_class

TABLES = pytest.mark.parametrize("table", paper_tables(), ids=lambda table: f"table{table.number}")


@TABLES
def test_the_published_protocol_is_the_tasks_own(table: PaperTable):
    task = task_class(table.task)
    assert dict(table.protocol) == task.default_protocol.model_dump()
    assert table.units == task.default_units
    assert {row.task for row in table.rows} == {table.task}


@TABLES
def test_the_published_options_are_the_tasks_own_but_for_what_rows_differ_in(table: PaperTable):
    task = build_task(table.task, {})
    options = task.options.model_dump(mode="json") | {"word_vectors": "GoogleNews-vectors-negative300.bin"}
    assert dict(table.options).items() <= options.items()
    assert set(task.options.model_dump()) - set(table.options) <= {"length", "sample_milliseconds"}
    assert table.length == (None if table.lengths else task.length)
    assert {row.length for row in table.rows if row.length} <= {table.length, *table.lengths}
