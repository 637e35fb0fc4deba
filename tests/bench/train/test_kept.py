"""Which evaluation a record's numbers are of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.records.store import Store
from bench.tasks import TASKS
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import EVALUATED, Known, KnownError, KnownLearner, Outcome, outcomes, part_of

# Test qualities tell which parameters the test was run with: a tenth for every step of training.
TEST = outcomes("test", 0.1, 0.2, 0.3, 0.4, updates=(1, 2, 3, 4))

# The best validation is after two of four steps.
BOTH = {("test", 2): Outcome(quality=1.0, loss=0.25, updates=2), ("test", 4): Outcome(quality=0.75, loss=0.5)}


class KnownLast(Known):
    """Reports what training came to."""

    reported = "last"


@pytest.mark.parametrize(
    ("task", "validation", "best_step"),
    [
        (Known, (0.5, 0.9, 0.7, 0.6), 2),
        (KnownError, (0.5, 0.9, 0.3, 0.6), 3),
        (Known, (0.9, 0.5, 0.4, 0.3), 1),
        (KnownError, (0.9, 0.5, 0.4, 0.3), 4),
    ],
)
def test_the_best_is_by_the_metrics_direction(
    task: type[Known], validation: tuple[float, ...], best_step: int, run_known: RunKnown
) -> None:
    record = run_known(KnownLearner(outcomes=outcomes("validation", *validation) | TEST), task=task)
    assert record.best_step == best_step
    assert record.validation_quality == validation[best_step - 1]
    assert record.quality == pytest.approx(best_step / 10)
    assert record.updates == best_step


@pytest.mark.parametrize("task", [Known, KnownError])
@pytest.mark.parametrize(("updates", "best_step"), [((8, 5, 3, 4), 3), ((8, 4, 3, 3), 3), ((3, 8, 8, 8), 2)])
def test_of_equal_qualities_the_one_with_fewer_updates_is_the_best_then_the_earliest(
    task: type[Known], updates: tuple[int, ...], best_step: int, run_known: RunKnown
) -> None:
    """Fewer updates win nothing against a better quality: step 1 is the worst."""
    worst = 0.1 if task.higher_is_better else 0.9
    learner = KnownLearner(outcomes=outcomes("validation", worst, 0.5, 0.5, 0.5, updates=updates) | TEST)
    assert run_known(learner, task=task).best_step == best_step


def test_the_test_is_run_at_the_best_and_at_the_last_parameters(run_known: RunKnown, store: Store) -> None:
    learner = KnownLearner(outcomes=outcomes("validation", 0.5, 0.9, 0.7, 0.6) | BOTH)
    record = run_known(learner)
    assert record.reported == "best_validation"
    assert (record.quality, record.loss, record.updates, record.update_ratio) == (1.0, 0.25, 2.0, 0.25)
    assert (record.best_quality, record.best_loss, record.best_updates, record.best_update_ratio) == (1, 0.25, 2, 0.25)
    assert (record.final_quality, record.final_loss) == (0.75, 0.5)
    assert (record.final_updates, record.final_update_ratio) == (8.0, 1.0)
    assert record.solved is True, "quality is 1 at the best parameters"
    assert learner.steps == 2, "it is left with the reported parameters"
    folder = store.folder_of(record.trial_id)
    with np.load(folder / "best.npz") as best, np.load(folder / "final.npz") as final:
        assert (best["steps"], final["steps"]) == (2, 4)
    with np.load(folder / "gates.npz") as kept:
        assert kept["gates"].sum(axis=1).tolist() == [2] * EVALUATED
        assert kept["predictions"].tolist() == [[1.0]] * EVALUATED
        assert kept["targets"][:, 0].tolist() == list(range(EVALUATED))


def test_a_task_may_report_the_last_step(run_known: RunKnown, store: Store) -> None:
    learner = KnownLearner(outcomes=outcomes("validation", 0.5, 0.9, 0.7, 0.6) | BOTH)
    record = run_known(learner, task=KnownLast)
    assert record.reported == "last"
    assert (record.quality, record.loss, record.updates, record.update_ratio) == (0.75, 0.5, 8.0, 1.0)
    assert (record.final_quality, record.final_loss, record.final_updates, record.final_update_ratio) == (
        0.75,
        0.5,
        8,
        1,
    )
    assert (record.best_quality, record.best_loss, record.best_updates, record.best_update_ratio) == (1, 0.25, 2, 0.25)
    assert record.solved is False
    assert record.flops_per_sequence == 4 * record.best_updates * 4 * 3 * (1 + 3)
    assert (record.best_step, record.validation_quality) == (2, 0.9)
    folder = store.folder_of(record.trial_id)
    with np.load(folder / "best.npz") as best, np.load(folder / "final.npz") as final:
        assert (best["steps"], final["steps"]) == (2, 4)
    with np.load(folder / "gates.npz") as kept:
        assert kept["gates"].sum(axis=1).tolist() == [8] * EVALUATED
    assert learner.steps == 4


def test_generated_tasks_report_the_last_step_and_data_sets_the_best_validation() -> None:
    reported = {name: task.reported for name, task in TASKS.items() if name != "known"}
    assert reported.pop("adding") == reported.pop("frequency") == "last"
    assert set(reported.values()) == {"best_validation"}


def test_validation_reads_no_test_data_and_the_test_no_validation_data(run_known: RunKnown) -> None:
    learner = KnownLearner()
    run_known(learner)
    parts = "".join(part_of(batch)[0] for batch in learner.batches)
    assert parts.startswith(("tvv" * 4) + "tt"), "four times a training step and two batches, then the test"


def test_evaluations_are_at_the_interval_and_after_the_last_step(run_known: RunKnown, store: Store) -> None:
    for protocol, steps in (
        ({"steps": 5, "evaluate_every": 2}, ["2", "4", "5"]),
        ({"steps": 1, "evaluate_every": 3}, ["1"]),
        ({"epochs": 3, "evaluate_every": 1}, ["2", "4", "6"]),
        ({"epochs": 3, "evaluate_every": 2}, ["4", "6"]),
    ):
        record = run_known(KnownLearner(), protocol=protocol)
        assert record.steps == int(steps[-1])
        rows = (store.folder_of(record.trial_id) / "curve.csv").read_text().splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == steps


def test_a_curve_tells_the_mean_training_loss_since_its_last_row(run_known: RunKnown, store: Store) -> None:
    learner = KnownLearner(train_losses={1: 1.0, 2: 2.0, 3: 6.0, 4: 8.0, 5: 5.0})
    record = run_known(learner, protocol={"steps": 5, "evaluate_every": 2})
    names, *rows = (store.folder_of(record.trial_id) / "curve.csv").read_text().splitlines()
    place = names.split(",").index("train_loss")
    assert [float(row.split(",")[place]) for row in rows] == [1.5, 7.0, 5.0]


@pytest.mark.parametrize(("step", "field"), [(2, "loss"), (4, "quality")])
def test_a_test_that_is_no_number_ends_the_trial_as_diverged(step: int, field: str, run_known: RunKnown) -> None:
    """At the best validation, which is after two steps, or after the last."""
    broken = {("test", step): Outcome(**{"quality": 0.9, field: math.nan})}
    record = run_known(KnownLearner(outcomes=outcomes("validation", 0.5, 0.9, 0.7, 0.6) | broken))
    assert (record.status, record.error) == ("diverged", f"the test {field} became nan at step {step}")
    assert (record.quality, record.final_quality) == (None, None)
    assert record.steps == 4


@pytest.mark.parametrize("field", ["quality", "loss"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_an_evaluation_that_is_no_number_ends_the_trial_as_diverged(
    field: str, number: float, run_known: RunKnown, store: Store
) -> None:
    broken = Outcome(**{"quality": 0.9, field: number})
    learner = KnownLearner(outcomes=outcomes("validation", 0.5, 0.6) | {("validation", 3): broken})
    record = run_known(learner)
    assert record.status == "diverged"
    assert record.error == f"the validation {field} became {number} at step 3"
    assert (record.quality, record.final_quality) == (None, None)
    assert (record.best_step, record.validation_quality) == (2, 0.6)
    rows = (store.folder_of(record.trial_id) / "curve.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["1", "2"], "what came before is kept"


def test_a_training_loss_that_is_no_number_ends_the_trial_as_diverged(run_known: RunKnown) -> None:
    record = run_known(KnownLearner(train_losses={3: math.nan}))
    assert (record.status, record.error) == ("diverged", "the training loss became nan at step 3")
    assert record.steps == 3


def test_a_budget_loss_that_is_no_number_is_named(run_known: RunKnown) -> None:
    record = run_known(KnownLearner(budget_loss=math.inf))
    assert (record.status, record.error) == ("diverged", "the budget loss became inf at step 1")


class Empty(Known):
    """Every sequence is padding alone."""

    lengths = (0,) * EVALUATED


def test_batches_of_padding_alone_leave_a_record_without_a_ratio(run_known: RunKnown, store: Store) -> None:
    record = run_known(KnownLearner(), task=Empty)
    kept = store.read(record.trial_id)
    assert kept is not None
    assert (kept.status, kept.update_ratio) == ("ok", None)
