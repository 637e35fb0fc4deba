"""One pass over held-out data, counted by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.tasks.base import TaskOptions
from bench.train.clocks import Stopwatch
from bench.train.evaluation import evaluate
from impls.contract import Array, Batch, Evaluation
from tests.bench.train.known import LENGTH, Known, KnownLearner, known_trial


@dataclass
class RowLearner(KnownLearner):
    """Predicts a sequence's row, which is its loss too, and updates as many of its first steps, padding left out."""

    def evaluate(self, batch: Batch) -> Evaluation:
        rows = batch.targets
        gates = (np.arange(LENGTH) < rows).astype(np.float32)
        if batch.mask is not None:
            gates = gates * batch.mask
        return Evaluation(loss=float(rows.mean()), predictions=rows, gates=gates)


class Padded(Known):
    """Sequences of 1 to 6 real steps."""

    lengths = (1, 2, 3, 4, 5, 6)


def known(task: type[Known] = Known) -> Known:
    return task(TaskOptions(), data=Path())


def test_a_smaller_last_batch_weighs_by_its_sequences() -> None:
    """Rows 0 to 5 in batches of 4 and 2, whose means are 1.5 and 4.5."""
    evaluated = evaluate(known_trial(), known(), RowLearner(), "test", clock=Stopwatch())
    assert evaluated.loss == pytest.approx(2.5)
    assert evaluated.quality == pytest.approx(2.5)
    assert evaluated.fields()["updates"] == pytest.approx(2.5)


def test_updates_and_ratios_are_of_each_sequence() -> None:
    fields = evaluate(known_trial(), known(), RowLearner(), "test", clock=Stopwatch()).fields()
    updates = np.arange(6)
    assert fields["update_ratio"] == pytest.approx((updates / LENGTH).mean())
    assert fields["updates_std"] == pytest.approx(updates.std())
    assert fields["update_ratio_std"] == pytest.approx((updates / LENGTH).std())


def test_a_ratio_is_of_the_real_steps() -> None:
    """Row `i` has `i + 1` real steps and updates at `i` of them."""
    evaluated = evaluate(known_trial(), known(Padded), RowLearner(), "test", clock=Stopwatch())
    assert evaluated.updates.tolist() == [0, 1, 2, 3, 4, 5]
    assert evaluated.update_ratios.tolist() == [row / (row + 1) for row in range(6)]


class SomeEmpty(Known):
    """Two of the sequences have no real step."""

    lengths = (0, 2, 3, 0, 5, 6)


class AllEmpty(Known):
    """No sequence has one."""

    lengths = (0,) * 6


def test_a_sequence_without_a_step_has_no_ratio() -> None:
    fields = evaluate(known_trial(), known(SomeEmpty), RowLearner(), "test", clock=Stopwatch()).fields()
    ratios = [1 / 2, 2 / 3, 4 / 5, 5 / 6]
    assert fields["update_ratio"] == pytest.approx(np.mean(ratios))
    assert fields["update_ratio_std"] == pytest.approx(np.std(ratios))
    assert fields["updates"] == pytest.approx(12 / 6), "it counts where updates are counted"


def test_where_no_sequence_has_a_step_there_is_no_ratio() -> None:
    fields = evaluate(known_trial(), known(AllEmpty), RowLearner(), "test", clock=Stopwatch()).fields()
    assert np.isnan(fields["update_ratio"])
    assert np.isnan(fields["update_ratio_std"])
    assert fields["updates"] == 0


class RealStepsLearner(RowLearner):
    """Its loss is that of the real steps, of which each costs its row; without one it is 0, as the contract's."""

    def evaluate(self, batch: Batch) -> Evaluation:
        result = super().evaluate(batch)
        assert batch.mask is not None
        loss = float((batch.targets * batch.mask).sum() / max(1.0, batch.mask.sum()))
        return Evaluation(loss=loss, predictions=result.predictions, gates=result.gates)


@pytest.mark.parametrize(
    ("of_each", "loss"),
    [
        ((1, 1, 1, 1, 0, 0), 1.5),  # rows 0 to 3; the second batch is padding
        ((0, 0, 0, 0, 2, 2), 4.5),  # rows 4 and 5
        ((0, 0, 0, 3, 0, 1), (4 * 3 + 2 * 5) / 6),  # a batch with a step weighs by all its sequences
        ((0, 0, 0, 0, 0, 0), 0.0),
    ],
)
def test_with_targets_at_every_step_a_batch_of_padding_weighs_nothing(of_each: tuple[int, ...], loss: float) -> None:
    class EveryStep(Known):
        readout = "every"
        lengths = of_each

    evaluated = evaluate(known_trial(), known(EveryStep), RealStepsLearner(), "test", clock=Stopwatch())
    assert evaluated.loss == pytest.approx(loss)


def test_with_a_target_at_the_end_a_batch_of_padding_weighs_by_its_sequences() -> None:
    """Its targets are compared with what the initial state says: rows 0 to 3, and 4 and 5 without a step."""

    class EndsEmpty(Known):
        lengths = (1, 1, 1, 1, 0, 0)

    evaluated = evaluate(known_trial(), known(EndsEmpty), RowLearner(), "test", clock=Stopwatch())
    assert evaluated.loss == pytest.approx(2.5)


def test_the_first_sequences_are_kept_with_what_they_read() -> None:
    kept: dict[str, list[Array]] = {}
    trial = known_trial(protocol={"evaluation_sequences": 21})
    evaluate(trial, known(), RowLearner(), "test", clock=Stopwatch(), kept=kept)
    assert sum(map(len, kept["gates"])) == 16
    assert set(kept) == {"gates", "predictions", "inputs", "targets"}
    kept.clear()
    evaluate(known_trial(), known(Padded), RowLearner(), "test", clock=Stopwatch(), kept=kept)
    assert np.concatenate(kept["mask"]).sum(axis=1).tolist() == [1, 2, 3, 4, 5, 6]
