"""The learning rate of every step: the formulas, and that the learner is handed them."""

from __future__ import annotations

import math

import pytest

from bench.records.older import today
from bench.records.record import Record
from bench.report.frames import trials_frame
from bench.report.tables.results import aggregate
from bench.tasks.protocol import Protocol
from tests.bench.records.test_records import flat
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import KnownLearner

WHOLE = 0.125


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", (1, 1, 1, 1, 1)),
        ("linear", (1, 0.75, 0.5, 0.25, 0)),
        ("cosine", (1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0)),
    ],
)
def test_a_rate_falls_to_zero_at_the_last_step(schedule: str, shares: tuple[float, ...], run_known: RunKnown) -> None:
    learner = KnownLearner()
    protocol = {"steps": 5, "learning_rate": WHOLE, "learning_rate_schedule": schedule}
    record = run_known(learner, protocol=protocol)
    assert learner.rates == pytest.approx([WHOLE * share for share in shares], abs=1e-16)
    assert record.trial.protocol.learning_rate_schedule == schedule


def test_a_length_in_epochs_counts_its_steps(run_known: RunKnown) -> None:
    """Two steps an epoch."""
    learner = KnownLearner()
    protocol = {"epochs": 2, "evaluate_every": 1, "learning_rate": 3.0, "learning_rate_schedule": "linear"}
    run_known(learner, protocol=protocol)
    assert learner.rates == pytest.approx([3, 2, 1, 0])


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_a_lone_step_has_the_whole_rate(schedule: str) -> None:
    protocol = Protocol(steps=1, learning_rate=WHOLE, learning_rate_schedule=schedule)
    assert protocol.learning_rate_of(0, steps_per_epoch=1) == WHOLE


def test_a_constant_rate_is_the_very_number(run_known: RunKnown) -> None:
    learner = KnownLearner()
    run_known(learner, protocol={"steps": 3, "learning_rate": 1e-4})
    assert learner.rates == [1e-4] * 3


def test_a_record_from_before_schedules_is_of_a_constant_rate(run_known: RunKnown) -> None:
    """And is a seed of its configuration, not a row of its own."""
    new, seed = (run_known(KnownLearner(), seed=seed) for seed in (0, 1))
    content = flat(new)
    del content["protocol"]["learning_rate_schedule"]
    old = Record.model_validate(today(content))
    assert old == new
    assert aggregate(trials_frame([old, seed]))["seeds"].tolist() == [2]
