"""The published protocol as the report tells it, against the tasks and sweeps that train by it."""

from __future__ import annotations

import pytest

from bench.plan import sweep as sweeps
from bench.report.frames import trials_frame
from bench.report.paper.layout import PUBLISHED_RUNS, PaperTable, paper_tables
from bench.report.paper.settings import departures
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


@TABLES
def test_a_sweep_at_the_published_protocol_departs_nowhere(table: PaperTable):
    trials = sweeps.load(f"table{table.number}").trials
    assert departures(table, trials_frame([], missing=trials)) == []
    assert len({trial.seed for trial in trials}) == PUBLISHED_RUNS


@TABLES
def test_a_shrunk_sweep_says_what_it_shrinks(table: PaperTable):
    """Every field by which its trials differ from the published sweep's is told, with both values."""
    small, full = sweeps.load(f"table{table.number}-cpu").trials, sweeps.load(f"table{table.number}").trials
    told = departures(table, trials_frame([], missing=small))
    assert f"{' × '.join(map(str, small[0].units))} units for {' × '.join(map(str, full[0].units))}" in told
    for name in ("batch_size", "evaluation_sequences"):
        values = [getattr(trials[0].protocol, name) for trials in (small, full)]
        assert values[0] == values[1] or any(f"{values[0]:,}" in line and f"{values[1]:,}" in line for line in told)
    lengths = [trials[0].build_task().length for trials in (small, full)]
    assert (lengths[0] == lengths[1]) != (f"T = {lengths[0]} for {lengths[1]}" in told)


def test_what_a_shrunk_sweep_says_word_for_word():
    trials = sweeps.load("table3-cpu").trials
    assert departures(paper_tables()[2], trials_frame([], missing=trials)) == [
        "T = 30 for 300",
        "stride 10 for 1",
        "32 × 32 units for 256 × 256",
        "300 steps for 200 epochs (the paper does not say)",
        "batch 32 for 256",
        "learning rate 1e-3 for 1e-4",
        "evaluated every 100 steps for every epoch (the paper does not say)",
        "1 run for 4",
    ]
