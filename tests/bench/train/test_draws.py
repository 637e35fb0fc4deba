"""What a batch brings beside its data: random and periodic skips, gate noise, dropout; each stream apart."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.plan import sweep as sweeps
from bench.plan.trial import Trial, build_trial
from bench.tasks.base import TaskOptions
from bench.train.draws import with_draws
from bench.train.loop import batches_checksum
from impls.contract import FRAMEWORKS, Array, Batch
from tests.bench.train.conftest import RunKnown
from tests.bench.train.known import Known, KnownLearner, known_trial, part_of


def trial(**changes: Any) -> Trial:
    return build_trial({"task": "adding", "cell": "lstm", "framework": "pytorch", **changes}, where="test")


def updates_of(made: Trial, *, size: int = 64) -> Array | None:
    plain = made.build_task().train_batch(seed=made.seed, step=0, size=size)
    return with_draws(plain, made, stream="train", step=0).updates


@pytest.mark.parametrize(("period", "length"), [(2, 7), (3, 10), (5, 5), (4, 30), (60, 30)])
@pytest.mark.parametrize("stream", ["train", "test"])
def test_a_periodic_skip_updates_first_and_then_every_periodth_step(period: int, length: int, stream: str) -> None:
    batch = Batch(inputs=np.zeros((3, length, 2), np.float32), targets=np.zeros((3, 1), np.float32))
    drawn = with_draws(batch, trial(period=period), stream=stream, step=1).updates
    assert drawn is not None
    assert drawn.dtype == np.float32
    assert drawn.shape == (3, length)
    for row in drawn:
        assert np.flatnonzero(row).tolist() == list(range(0, length, period))
        assert set(row) <= {0.0, 1.0}


def test_a_period_of_one_leaves_the_batch_alone() -> None:
    assert updates_of(trial(period=1)) is None


def asked_share(made: Trial) -> float:
    """The share of steps that a trial updates, or that its budget asks for."""
    if made.cell.startswith("skip_"):
        return made.budget_target / made.build_task().length
    updates = updates_of(made, size=2000)
    return 1.0 if updates is None else float(updates.mean())


def test_the_sweep_of_skips_compares_at_equal_updates() -> None:
    """Learned, random and periodic skips have the same shares of updates, in both frameworks and for both kinds."""
    shares: dict[tuple[str, str, str], set[float]] = defaultdict(set)
    for made in sweeps.load("ablations-skips").trials:
        if made.cell.startswith("skip_"):
            way = "learned"
        elif made.p_skip:
            way = "random"
        else:
            way = "periodic" if made.period > 1 else "every"
        share = asked_share(made)
        assert share == pytest.approx(round(share, 1), abs=0.005)
        shares[made.framework, made.cell.removeprefix("skip_"), way].add(round(share, 1))
    wanted = {"learned": {0.5, 0.2, 0.1}, "random": {0.5, 0.2, 0.1}, "periodic": {0.5, 0.2, 0.1}, "every": {1.0}}
    assert shares == {
        (framework, kind, way): wanted[way] for framework in FRAMEWORKS for kind in ("lstm", "gru") for way in wanted
    }


@pytest.mark.parametrize("p_skip", [0.1, 0.5, 0.8])
def test_a_random_skip_updates_the_share_that_it_does_not_skip(p_skip: float) -> None:
    updates = updates_of(trial(p_skip=p_skip), size=4000)
    assert updates is not None
    assert set(np.unique(updates)) == {0.0, 1.0}
    assert updates.mean() == pytest.approx(1 - p_skip, abs=0.005)
    assert len(np.unique(updates, axis=0)) > 1, "each sequence has its own skips"


def test_dropout_is_scaled_so_that_its_mean_is_one_and_is_off_in_evaluation() -> None:
    made = trial(units=[7, 5], protocol={"dropout": 0.25})
    batch = Batch(inputs=np.zeros((4000, 3, 2), np.float32), targets=np.zeros((4000, 1), np.float32))
    drawn = with_draws(batch, made, stream="train", step=0).dropout
    assert drawn is not None
    assert drawn.shape == (4000, 5), "of the top layer's outputs"
    assert np.unique(drawn).tolist() == [0.0, np.float32(1 / 0.75)]
    assert (drawn == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)
    for split in ("validation", "test"):
        assert with_draws(batch, made, stream=split, step=0).dropout is None


@pytest.mark.parametrize(
    ("fields", "drawn"),
    [
        ({"p_skip": 0.5}, "updates"),
        ({"cell": "skip_lstm", "gate": "bernoulli"}, "gate_noise"),
        ({"protocol": {"dropout": 0.5}}, "dropout"),
    ],
)
def test_draws_are_pure_and_apart_by_seed_step_and_stream(fields: dict[str, Any], drawn: str) -> None:
    batch = Batch(inputs=np.zeros((6, 9, 2), np.float32), targets=np.zeros((6, 1), np.float32))

    def draw(*, seed: int = 0, stream: str = "train", step: int = 0) -> bytes:
        array = getattr(with_draws(batch, trial(seed=seed, **fields), stream=stream, step=step), drawn)
        return bytes(array.tobytes())

    assert draw() == draw()
    others = [draw(), draw(seed=1), draw(step=1)]
    if drawn != "dropout":
        others += [draw(stream="validation"), draw(stream="test")]
    assert len(set(others)) == len(others)


def test_a_plain_cell_draws_nothing() -> None:
    assert updates_of(trial()) is None
    plain = Batch(inputs=np.zeros((2, 3, 2), np.float32), targets=np.zeros((2, 1), np.float32))
    assert with_draws(plain, trial(gate="bernoulli"), stream="train", step=0) is plain


def test_every_batch_of_a_trial_has_draws_of_its_own(run_known: RunKnown) -> None:
    """Those of each training step, of each evaluated batch, of validation and test; the same at every evaluation."""
    learner = KnownLearner()
    run_known(learner, cell="lstm", p_skip=0.5, protocol={"batch_size": 4, "evaluation_sequences": 8})
    drawn: dict[str, list[bytes]] = defaultdict(list)
    for batch in learner.batches:
        if batch.size < 4:  # a single sequence, timed after training
            continue
        assert batch.updates is not None
        drawn[part_of(batch)].append(batch.updates.tobytes())
    assert len(set(drawn["train"])) == 4
    for split, passes in (("validation", 4), ("test", 2)):
        assert drawn[split][:2] * passes == drawn[split][: 2 * passes]
        assert len(set(drawn[split])) == 2
    assert len({*drawn["train"], *drawn["validation"], *drawn["test"]}) == 4 + 2 + 2


@pytest.mark.parametrize("changed", range(5))
def test_the_checksum_of_batches_is_of_the_first_three(changed: int) -> None:
    """Whatever differs in one of them is told, draws included; what comes later is not."""

    class Otherwise(Known):
        def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
            return self.rows("test" if step == changed else "train", np.arange(size))

    usual, otherwise = (task(TaskOptions(), data=Path()) for task in (Known, Otherwise))
    made = known_trial(cell="lstm")
    assert (batches_checksum(made, otherwise) != batches_checksum(made, usual)) == (changed < 3)
    skipping = made.model_copy(update={"p_skip": 0.5})
    assert batches_checksum(skipping, usual) != batches_checksum(made, usual)


@pytest.mark.parametrize("task", ["adding", "frequency"])
def test_generated_training_validation_and_test_data_are_apart(task: str) -> None:
    """Also with the seed of the held-out data."""
    made = trial(task=task).build_task()
    parts = [made.train_batch(seed=0, step=0, size=4)]
    parts += [next(iter(made.evaluation_batches(split, size=4, sequences=4))) for split in ("validation", "test")]
    assert len({part.inputs.tobytes() for part in parts}) == 3
