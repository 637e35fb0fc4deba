"""What the published count and the work of a record are made of, counted by hand."""

from __future__ import annotations

import pytest

from bench.train.flops import published_flops, published_macs_per_update
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import LENGTH, Known, KnownLearner, outcomes


@pytest.mark.parametrize("cell", ["lstm", "skip_lstm"])
def test_an_update_costs_the_matrix_products_of_every_layer(cell: str) -> None:
    lstm = published_macs_per_update(cell, input_size=3, units=(5, 7))
    assert lstm == 4 * 5 * (3 + 5) + 4 * 7 * (5 + 7)
    gru = published_macs_per_update(cell.replace("lstm", "gru"), input_size=3, units=(5, 7))
    assert gru == 3 * 5 * (3 + 5) + 3 * 7 * (5 + 7)


def test_the_papers_count_of_the_adding_task() -> None:
    """A skip LSTM of 110 units over 50 steps: 4 · 110 · 112 multiply–accumulates a step."""
    assert published_flops("lstm", input_size=2, units=(110,), updates=50) == 50 * 4 * 110 * 112


def test_a_used_frame_pays_for_its_encoder() -> None:
    per_update = published_flops("gru", input_size=3, units=(5,), updates=2, encoder_macs_per_step=1000)
    assert per_update == 2 * (3 * 5 * (3 + 5) + 1000)


class Encoded(Known):
    """Each used step pays an encoder; sequences have 1 to 6 real steps."""

    encoder_macs_per_step = 1000
    lengths = (1, 2, 3, 4, 5, 6)


UPDATE = 4 * 3 * (1 + 3)


@pytest.mark.parametrize(("implementation", "steps"), [("kernels", 2), ("reference", LENGTH)])
def test_flops_follow_the_updates_and_work_what_was_done(implementation: str, steps: int, run_known: RunKnown) -> None:
    """Updates are those of the evaluation that `quality` is of."""
    of_test = outcomes("test", 0.1, 0.2, 0.3, 0.4, updates=(1, 2, 3, 4))
    learner = KnownLearner(outcomes=outcomes("validation", 0.5, 0.9, 0.7, 0.6) | of_test, implementation=implementation)
    record = run_known(learner)
    assert record.updates == 2
    assert record.flops_per_sequence == 2 * UPDATE
    assert record.work_per_sequence == pytest.approx(steps * UPDATE)
    assert record.implementation == implementation


def test_the_encoder_is_in_the_flops_and_not_in_the_work(run_known: RunKnown) -> None:
    learner = KnownLearner(outcomes=outcomes("test", 0, 0, 0, 0, updates=(1, 1, 1, 1)), implementation="kernels")
    record = run_known(learner, task=Encoded)
    assert record.flops_per_sequence == UPDATE + 1000
    assert record.work_per_sequence == pytest.approx(UPDATE)


@pytest.mark.parametrize(
    ("framework", "implementation", "steps"),
    [
        ("pytorch", "reference", LENGTH),
        ("tensorflow", "reference", LENGTH),
        ("pytorch", "operations", LENGTH),
        ("pytorch", "native", 3.5),  # the mean of the real steps
        ("tensorflow", "native", LENGTH),
    ],
)
def test_padding_is_work_where_it_is_multiplied(
    framework: str, implementation: str, steps: float, run_known: RunKnown
) -> None:
    record = run_known(
        KnownLearner(implementation=implementation), task=Encoded, cell="lstm", framework=framework, units=[3]
    )
    assert record.work_per_sequence == pytest.approx(steps * UPDATE)


def test_sequences_without_an_update_cost_no_flops_and_their_steps_count_as_work(run_known: RunKnown) -> None:
    """A random skip may leave out every step of a short sequence."""
    learner = KnownLearner(outcomes=outcomes("test", 0, 0, 0, 0, updates=(0, 0, 0, 0)), implementation="reference")
    record = run_known(learner)
    assert (record.update_ratio, record.flops_per_sequence) == (0, 0)
    assert record.work_per_sequence == LENGTH * UPDATE
