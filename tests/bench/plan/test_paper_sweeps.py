"""The sweeps of the paper against its published results: every row has its trials, and none is besides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.plan import sweep as sweeps
from bench.plan.trial import Trial
from bench.tasks import task_class
from bench.train.flops import published_flops
from impls.contract import FRAMEWORKS
from impls.kinds import cells

PUBLISHED = Path(bench.__file__).parent / "report" / "paper" / "published.csv"
TABLES = (1, 2, 3, 4, 5, 6)
# Tables whose rows differ in their length too.
LENGTHS = (4, 5)
MISPRINTED = (3, "gru", 0.4)

Row = tuple[str, str, float, float, int]


def published() -> pd.DataFrame:
    """The rows of this project's cells; references to others' results are left out."""
    rows = pd.read_csv(PUBLISHED)
    return rows[rows["cell"].isin(cells())].fillna({"p_skip": 0.0, "budget_cost": 0.0})


def published_rows(table: int) -> set[Row]:
    rows = published()
    return {
        (row.task, row.cell, row.p_skip, row.budget_cost, int(row.length) if table in LENGTHS else 0)
        for row in rows[rows["table"] == table].itertuples()
    }


def row_of(trial: Trial, *, table: int) -> Row:
    length = trial.build_task().length if table in LENGTHS else 0
    return (trial.task, trial.cell, trial.p_skip, trial.budget_cost, length)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_four_seeds_in_both_frameworks_at_the_published_protocol(table: int):
    trials = sweeps.load(f"table{table}").trials
    counts = Counter(row_of(trial, table=table) for trial in trials)
    assert counts == dict.fromkeys(published_rows(table), 8)
    assert {(trial.framework, trial.seed) for trial in trials} == {
        (framework, seed) for framework in FRAMEWORKS for seed in range(4)
    }
    for trial in trials:
        task = task_class(trial.task)
        assert (trial.units, trial.protocol) == (task.default_units, task.default_protocol)


@pytest.mark.parametrize("table", TABLES)
def test_the_small_sister_has_the_same_rows_in_both_frameworks(table: int):
    trials = sweeps.load(f"table{table}-cpu").trials
    for framework in FRAMEWORKS:
        rows = Counter(row_of(trial, table=table) for trial in trials if trial.framework == framework)
        assert set(rows) == published_rows(table)
        assert len(set(rows.values())) == 1
    assert {trial.device for trial in trials} == {"cpu"}


@pytest.mark.parametrize("suffix", ["", "-cpu"])
def test_the_paper_is_all_its_tables(suffix: str):
    of_tables = {trial.id for table in TABLES for trial in sweeps.load(f"table{table}{suffix}").trials}
    assert {trial.id for trial in sweeps.load(f"paper{suffix}").trials} == of_tables


@pytest.mark.parametrize("table", TABLES)
def test_the_small_sister_says_what_it_shrinks(table: int):
    """Every number by which it differs from the published protocol stands in its description."""
    description = sweeps.load(f"table{table}-cpu").description
    full, small = sweeps.load(f"table{table}").trials[0], sweeps.load(f"table{table}-cpu").trials[0]
    assert str(small.units[0]) in description
    assert str(full.units[0]) in description
    rate = f"{small.protocol.learning_rate:.0e}".replace("e-0", "e-")
    assert f"rate {rate}" in description or f"rate of {rate}" in description
    length = small.protocol.steps or small.protocol.epochs
    assert f"{length:,} {'steps' if small.protocol.steps else 'epochs'}" in description
    if small.protocol.batch_size != full.protocol.batch_size:
        assert f"batch {small.protocol.batch_size} instead of {full.protocol.batch_size}" in description
    if small.build_task().length != full.build_task().length:
        assert f"T = {small.build_task().length} instead of {full.build_task().length}" in description


def computed_flops(row) -> float:
    task = task_class(row.task)
    updates = row.updates * row.length / 100 if row.updates_unit == "percent" else row.updates
    return published_flops(
        row.cell,
        input_size=task.input_size,
        units=task.default_units,
        updates=updates,
        encoder_macs_per_step=task.encoder_macs_per_step,
    )


WITH_FLOPS = [row for row in published().itertuples() if row.inference_flops == row.inference_flops]


def name(row) -> str:
    return f"table{row.table}-{row.cell}-{row.p_skip:g}-{row.budget_cost:g}"


@pytest.mark.parametrize("row", WITH_FLOPS, ids=name)
def test_published_flops_follow_from_the_published_updates(row):
    if (row.table, row.cell, row.p_skip) == MISPRINTED:
        assert row.inference_flops == 1.06e12, "the paper prints this"
        assert computed_flops(row) == pytest.approx(1.59e12, rel=0.01), "103.6 frames cost this"
    else:
        assert computed_flops(row) == pytest.approx(row.inference_flops, rel=0.01)


def test_only_one_figure_is_misprinted():
    assert len(WITH_FLOPS) == 40
    assert sum((row.table, row.cell, row.p_skip) == MISPRINTED for row in WITH_FLOPS) == 1
