"""The published protocols, and in what a sweep's trials depart from them."""

from __future__ import annotations

import pytest

from bench.plan import sweep as sweeps
from bench.report.frames import trials_frame
from bench.report.paper.protocol import departures, described, options_of, runs
from bench.tasks import task_class

TABLES = {1: "adding", 2: "mnist", 3: "charades", 4: "frequency", 5: "imdb", 6: "ucf101"}


def said(table: int, sweep: str) -> str:
    return described(departures(table, trials_frame([], missing=sweeps.load(sweep).trials)))


@pytest.mark.parametrize("table", TABLES)
def test_the_sweep_of_a_table_keeps_its_protocol_and_its_runs(table: int):
    assert said(table, f"table{table}") == ""
    assert {trial.seed for trial in sweeps.load(f"table{table}").trials} == set(range(runs()))


@pytest.mark.parametrize(("table", "words"), [
    (1, "units 64 for 110, 3,000 steps for 100,000, batch 64 for 256, rate 0.002 for 0.0001, "
        "evaluation sequences 1,024 for 3,840"),
    (2, "units 64 for 110, downsample 4 for 1, 5 epochs for 600, rate 0.001 for 0.0001"),
    (3, "units 32x32 for 256x256, length 30 for 300, stride 10 for 1, 300 steps for 200 epochs, batch 32 for 256, "
        "rate 0.001 for 0.0001, evaluate every 100 for 1"),
    (5, "units 32 for 128, vocabulary 5,000 for 0, embedding size 32 for 300, "
        "word vectors none for GoogleNews-vectors-negative300.bin, 300 steps for 100 epochs, batch 64 for 256, "
        "rate 0.001 for 0.0001, evaluate every 100 for 1"),
])  # fmt: skip
def test_a_shrunk_sweep_is_told_by_its_trials(table: int, words: str):
    assert said(table, f"table{table}-cpu") == words


def test_several_values_are_all_named():
    trials = [*sweeps.load("table1").trials, *sweeps.load("table1-cpu").trials]
    found = departures(1, trials_frame([], missing=trials))
    assert str(found[0]) == "units 110 and 64 for 110"


@pytest.mark.parametrize(("table", "task"), TABLES.items())
def test_every_option_of_a_table_s_task_is_part_of_its_protocol(table: int, task: str):
    """An option that a task gains later must not let a sweep depart unseen."""
    trials = trials_frame([], missing=sweeps.load(f"table{table}").trials[:1])
    own = options_of(trials["options"].iloc[0])
    assert set(own) == set(task_class(task).Options.model_fields)
    changed = trials.assign(options=", ".join(f"{name}=else" for name in own))
    assert [found.field for found in departures(table, changed) if found.part == "options"] == list(own)


@pytest.mark.parametrize("field", ["learning_rate_schedule", "clip_norm", "dropout", "beta_1", "beta_2", "epsilon"])
def test_every_field_of_training_counts(field: str):
    trials = trials_frame([], missing=sweeps.load("table2").trials[:1])
    changed = trials.assign(**{f"protocol.{field}": "linear" if "schedule" in field else 0.5})
    assert [found.field for found in departures(2, changed)] == [field]


def test_a_small_departure_is_not_rounded_away():
    trials = trials_frame([], missing=sweeps.load("table2").trials[:1])
    (found,) = departures(2, trials.assign(**{"protocol.beta_2": 0.99900001}))
    assert str(found) == "beta 2 0.99900001 for 0.999"
