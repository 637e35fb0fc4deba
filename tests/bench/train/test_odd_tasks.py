"""Tasks of anybody's, which say or give what nothing can be trained with, or say it in a type of NumPy's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import tasks
from bench.errors import SweepError, UserError
from bench.records.record import failure
from bench.tasks.base import Score, Split
from impls.contract import Array, Batch
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import Known, KnownLearner, Mean, known_trial, outcomes


class OfNumPy(Known):
    """Tells all that it is asked in numbers of NumPy's."""

    length = property(lambda self: np.int64(8))

    def steps_per_epoch(self, batch_size: int) -> int:
        return np.int64(2)

    def score(self, split: Split) -> Score:
        class Narrow(Mean):
            def quality(self) -> float:
                return np.float32(super().quality())

        return Narrow()

    def solved(self, quality: float) -> bool:
        return np.bool_(True)


def test_numbers_of_numpys_are_taken_for_what_they_are(run_known: RunKnown) -> None:
    record = run_known(
        KnownLearner(outcomes=outcomes("test", 0.0, 0.5)), task=OfNumPy, protocol={"epochs": 1, "evaluate_every": 1}
    )
    assert (record.status, record.quality, record.solved) == ("ok", 0.5, True)
    assert (record.length, record.steps, record.steps_per_epoch) == (8, 2, 2)


@pytest.mark.parametrize("steps", [0, -1, 2.5, None, True])
def test_an_epoch_is_a_whole_number_of_steps(steps: object, run_known: RunKnown) -> None:
    class Odd(Known):
        def steps_per_epoch(self, batch_size: int) -> int:
            return steps

    with pytest.raises(SweepError, match=f"^task known: steps_per_epoch at a batch size of 4 is {steps} where a whole"):
        run_known(KnownLearner(), task=Odd)


class Short(Known):
    """Gives training batches of three sequences, whatever is asked for."""

    def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
        return super().train_batch(seed=seed, step=step, size=3)


def test_a_training_batch_has_the_size_that_is_asked_for(run_known: RunKnown) -> None:
    with pytest.raises(UserError, match=r"^task known: training batch 1 has 3 sequences where 4 are needed$"):
        run_known(KnownLearner(), task=Short)


@pytest.mark.parametrize("length", [6, 10])
@pytest.mark.parametrize("where", ["training batch 1", "batch 1 of its validation data", "batch 2 of its test data"])
def test_a_batch_has_as_many_steps_as_its_task_tells(where: str, length: int, run_known: RunKnown) -> None:
    """A record's length, and the work of engines that multiply at padding too, are those that the task tells."""

    def cut(batch: Batch) -> Batch:
        return replace(batch, inputs=np.resize(batch.inputs, (batch.size, length, 1)))

    class Cut(Known):
        def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
            batch = super().train_batch(seed=seed, step=step, size=size)
            return cut(batch) if "training" in where else batch

        def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
            for number, batch in enumerate(super().evaluation_batches(split, size=size, sequences=sequences), start=1):
                yield cut(batch) if where == f"batch {number} of its {split} data" else batch

    words = f"{where} has {length} steps where its length is 8; pad or cut sequences to it, or tell another"
    with pytest.raises(UserError, match=f"^task known: {words}$"):
        run_known(KnownLearner(), task=Cut)


@pytest.mark.parametrize(
    ("rows", "words"),
    [((), "its validation data have no sequences"), ((4, 0), "batch 2 of its validation data has no sequences")],
)
def test_a_split_without_sequences_is_one_line(rows: tuple[int, ...], words: str, run_known: RunKnown) -> None:
    class Lacking(Known):
        def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
            for number in rows:
                yield self.rows(split, np.arange(number))

    with pytest.raises(UserError, match=f"^task known: {words}"):
        run_known(KnownLearner(), task=Lacking)


class OfItsData(Known):
    """As long as a file of its data says."""

    length = property(lambda self: int((self.data / "length").read_text()))


def test_the_length_is_that_of_the_data_that_were_trained_on(tmp_path: Path, run_known: RunKnown) -> None:
    (tmp_path / "length").write_text("8")
    record = run_known(KnownLearner(), task=OfItsData, data=tmp_path)
    assert (record.status, record.length) == ("ok", 8)
    failed = failure(record.trial, status="failed", error="MemoryError", data=tmp_path)
    assert failed.length == 8


@pytest.mark.parametrize("error", ["FileNotFoundError: none", "MemoryError"])
def test_a_failure_is_recorded_though_its_task_cannot_be_asked(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = known_trial()
    monkeypatch.setitem(tasks.TASKS, "known", OfItsData)
    record = failure(trial, status="failed", error=error)
    assert (record.trial_id, record.status, record.error, record.length) == (trial.id, "failed", error, 0)


@pytest.mark.parametrize("targets", [np.zeros(4), np.zeros((4, 2))])
def test_a_score_compares_no_sequence_with_anothers_target(targets: Array) -> None:
    batch = Batch(inputs=np.zeros((4, 2, 1)), targets=targets)
    with pytest.raises(UserError, match=r"^MeanSquaredError: targets have shape .* where \[4, 1\] is needed$"):
        tasks.base.MeanSquaredError().add(batch, np.zeros((4, 1)))


def test_a_class_is_one_number_a_sequence() -> None:
    batch = Batch(inputs=np.zeros((4, 2, 1)), targets=np.zeros((4, 1), np.int32))
    with pytest.raises(UserError, match=r"^Accuracy: targets have shape \[4, 1\] where \[4\] is needed$"):
        tasks.base.Accuracy().add(batch, np.zeros((4, 3)))


def test_an_error_at_every_step_is_the_mean_over_real_steps() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0]], np.float32)
    targets = np.where(mask[:, :, np.newaxis] == 1, np.ones((2, 3, 2)), np.nan)
    predictions = np.arange(12.0).reshape(2, 3, 2)
    score = tasks.base.MeanSquaredError()
    score.add(Batch(inputs=np.zeros((2, 3, 1)), targets=targets, mask=mask), predictions)
    real = np.array([0, 1, 2, 3, 6, 7])
    assert score.quality() == pytest.approx(((real - 1.0) ** 2).mean())


def test_data_of_padding_alone_have_no_error_to_tell() -> None:
    score = tasks.base.MeanSquaredError()
    score.add(Batch(inputs=np.zeros((2, 3, 1)), targets=np.ones((2, 3, 1)), mask=np.zeros((2, 3))), np.ones((2, 3, 1)))
    with pytest.raises(UserError, match=r"^MeanSquaredError: no step of the held-out data is real; every split"):
        score.quality()
