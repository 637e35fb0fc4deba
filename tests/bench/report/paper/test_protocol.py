"""In what the trials of a sweep depart from the published protocols."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.plan import sweep as sweeps
from bench.report.frames import trials_frame
from bench.report.paper.layout import PUBLISHED_RUNS, PaperTable, paper_tables
from bench.report.paper.protocol import departures, fewer_runs
from bench.report.paper.settings import published_settings
from bench.report.task_options import options_of
from bench.tasks import task_class

TABLES = pytest.mark.parametrize("table", paper_tables(), ids=lambda table: f"table{table.number}")


def trials_of(sweep: str) -> pd.DataFrame:
    return trials_frame([], missing=sweeps.load(sweep).trials)


def told(table: PaperTable, trials: pd.DataFrame) -> list[str]:
    return [*map(str, departures(table, trials)), *filter(None, [fewer_runs(trials)])]


@TABLES
def test_a_sweep_at_the_published_protocol_departs_nowhere(table: PaperTable):
    trials = trials_of(f"table{table.number}")
    assert told(table, trials) == []
    assert trials["seed"].nunique() == PUBLISHED_RUNS


@TABLES
def test_a_shrunk_sweep_says_what_it_shrinks(table: PaperTable):
    """Every field by which its trials differ from the published sweep's is told, with both values."""
    small, full = sweeps.load(f"table{table.number}-cpu").trials, sweeps.load(f"table{table.number}").trials
    said = told(table, trials_frame([], missing=small))
    units = [" × ".join(map(str, trials[0].units)) for trials in (small, full)]
    assert (units[0] == units[1]) != (f"{units[0]} units instead of {units[1]}" in said)
    for name in ("batch_size", "evaluation_sequences"):
        values = [getattr(trials[0].protocol, name) for trials in (small, full)]
        assert values[0] == values[1] or any(f"{values[0]:,}" in line and f"{values[1]:,}" in line for line in said)
    lengths = [trials[0].build_task().length for trials in (small, full)]
    assert (lengths[0] == lengths[1]) != (f"T = {lengths[0]} instead of {lengths[1]}" in said)


def test_what_a_shrunk_sweep_says_word_for_word():
    assert told(paper_tables()[2], trials_of("table3-cpu")) == [
        "T = 30 instead of 300",
        "stride 10 instead of 1",
        "32 × 32 units instead of 256 × 256",
        "300 steps instead of 200 epochs (the paper does not say)",
        "batch 32 instead of 256",
        "learning rate 0.001 instead of 1e-4",
        "evaluated every 100 steps instead of every epoch (the paper does not say)",
        "1 run instead of 4",
    ]


def test_several_values_are_all_named():
    trials = pd.concat([trials_of("table1"), trials_of("table1-cpu")])
    assert "100,000 steps and 5,000 steps instead of 100,000 steps (the paper does not say)" in told(
        paper_tables()[0], trials
    )


def test_how_often_is_evaluated_counts_where_the_best_evaluation_is_reported():
    """Adding reports the last evaluation, MNIST the best."""
    for table, counts in ((paper_tables()[0], False), (paper_tables()[1], True)):
        trials = trials_of(f"table{table.number}").assign(**{"protocol.evaluate_every": 77})
        assert ("evaluation" in {found.setting for found in departures(table, trials)}) == counts


# What the rows of Tables 4 and 5 choose, and trials must share with their row to stand in it.
OF_ROWS = {"length", "sample_milliseconds"}


@TABLES
def test_every_option_of_a_table_s_task_is_part_of_its_protocol(table: PaperTable):
    """An option that a task gains later must not let a sweep depart unseen."""
    trials = trials_of(f"table{table.number}").iloc[:1]
    own = options_of(trials["options"].iloc[0])
    assert set(own) == set(task_class(table.task).Options.model_fields)
    changed = trials.assign(options=", ".join(f"{name}=else" for name in own))
    found = {one.setting.removeprefix("option.") for one in departures(table, changed)}
    assert found == set(own) - OF_ROWS
    if table.length is not None:
        assert "length" in published_settings(table)


@pytest.mark.parametrize("field", ["learning_rate_schedule", "clip_norm", "dropout", "beta_1", "beta_2", "epsilon"])
def test_every_field_of_training_counts(field: str):
    changed = trials_of("table2").iloc[:1].assign(**{f"protocol.{field}": "linear" if "schedule" in field else 0.5})
    assert [found.setting for found in departures(paper_tables()[1], changed)] == [f"protocol.{field}"]


def test_a_small_departure_is_not_rounded_away():
    changed = trials_of("table2").iloc[:1].assign(**{"protocol.beta_2": 0.99900001})
    assert [str(found) for found in departures(paper_tables()[1], changed)] == ["beta 2 0.99900001 instead of 0.999"]
