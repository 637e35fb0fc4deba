"""The generated and bundled tasks: distributions and purity of their batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.tasks import build_task, task_class
from bench.tasks.adding import SOLVED_BELOW, Adding
from bench.tasks.base import Task
from bench.tasks.epochs import epoch_rows
from bench.tasks.protocol import Protocol
from bench.tasks.randomness import generator
from impls.contract import Batch

CASES: list[tuple[str, dict[str, Any]]] = [
    ("adding", {}),
    ("adding", {"length": 7}),
    ("frequency", {}),
    ("frequency", {"sample_milliseconds": 0.5}),
    ("digits", {}),
]


def same(first: Batch, second: Batch) -> bool:
    return all(np.array_equal(a, second.arrays()[name]) for name, a in first.arrays().items())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_batches_are_pure_and_differ_by_seed_and_step(name: str, options: dict[str, Any]) -> None:
    def batch(seed: int, step: int) -> Batch:
        return build_task(name, options).train_batch(seed=seed, step=step, size=16)

    assert same(batch(0, 3), batch(0, 3))
    assert not same(batch(0, 3), batch(0, 4))
    assert not same(batch(0, 3), batch(1, 3))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_shapes_and_types_are_the_contracts(name: str, options: dict[str, Any]) -> None:
    task = build_task(name, options)
    batch = task.train_batch(seed=0, step=0, size=6)
    assert batch.inputs.shape == (6, task.length, task.input_size)
    assert batch.inputs.dtype == np.float32
    assert batch.targets.dtype == (np.int32 if task.loss == "cross_entropy" else np.float32)
    sizes = [held.size for held in task.evaluation_batches("validation", size=64, sequences=100)]
    assert sizes[:-1] == [64] * (len(sizes) - 1)
    assert sizes[-1] <= 64


@pytest.mark.parametrize(("name", "options"), CASES)
def test_held_out_data_are_fixed_and_apart(name: str, options: dict[str, Any]) -> None:
    def first(split: Any) -> Batch:
        return next(iter(build_task(name, options).evaluation_batches(split, size=32, sequences=32)))

    assert same(first("test"), first("test"))
    assert not same(first("test"), first("validation"))
    assert not same(first("test"), build_task(name, options).train_batch(seed=0, step=0, size=32))


def test_no_two_tasks_share_random_numbers() -> None:
    """Tasks that draw alike, and data sets of one size, differ by their names."""

    class Other(Adding):
        name = "other"

    one, other = build_task("adding", {}), Other(Adding.Options(), data=Path())
    batches = [task.train_batch(seed=0, step=0, size=8) for task in (one, other)]
    held_out = [next(task.evaluation_batches("test", size=8, sequences=8)) for task in (one, other)]
    assert not same(*batches)
    assert not same(*held_out)
    orders = [epoch_rows(name, examples=99, seed=0, step=0, size=99) for name in ("one", "other")]
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize(
    ("name", "units", "length", "dropout"),
    [
        ("adding", (110,), {"steps": 100_000}, 0.0),
        ("frequency", (110,), {"steps": 100_000}, 0.0),
        ("mnist", (110,), {"epochs": 600}, 0.0),
        ("imdb", (128,), {"epochs": 100}, 0.2),
        ("charades", (256, 256), {"epochs": 200}, 0.0),
        ("ucf101", (512, 512), {"epochs": 500}, 0.0),
    ],
)
def test_default_protocols_in_numbers(
    name: str, units: tuple[int, ...], length: dict[str, int], dropout: float
) -> None:
    """One optimizer for all, and what each task sets: a default that moves changes every trial that leaves it open."""
    task = task_class(name)
    protocol = task.default_protocol
    assert task.default_units == units
    assert {"steps": protocol.steps, "epochs": protocol.epochs} == {"steps": None, "epochs": None} | length
    assert (protocol.batch_size, protocol.dropout, protocol.clip_norm) == (256, dropout, 1.0)
    assert (protocol.learning_rate, protocol.learning_rate_schedule) == (1e-4, "constant")
    assert (protocol.beta_1, protocol.beta_2, protocol.epsilon) == (0.9, 0.999, 1e-8)


def test_the_default_protocol_of_digits_is_a_short_one() -> None:
    task = task_class("digits")
    assert task.default_units == (64,)
    assert task.default_protocol == Protocol(epochs=100, batch_size=64, learning_rate=1e-3, evaluate_every=5)


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("adding", 1), ("frequency", 2), ("digits", 10), ("mnist", 10), ("imdb", 2), ("charades", 157), ("ucf101", 101)],
)
def test_an_output_for_each_class(name: str, outputs: int) -> None:
    assert build_task(name, {}).output_size == outputs


@pytest.mark.parametrize("length", [50, 7, 3])
def test_adding_markers_and_targets(length: int) -> None:
    batch = build_task("adding", {"length": length}).train_batch(seed=0, step=0, size=5000)
    values, markers = batch.inputs[:, :, 0], batch.inputs[:, :, 1]
    assert set(np.unique(markers)) == {0.0, 1.0}
    assert (markers.sum(axis=1) == 2).all()
    np.testing.assert_allclose((values * markers).sum(axis=1), batch.targets[:, 0], atol=1e-6)
    counts = markers.sum(axis=0)
    early, late = max(1, length // 10), length - length // 2
    assert (counts[early:late] == 0).all()
    expected_early, expected_late = 5000 / early, 5000 / (length - late)
    np.testing.assert_allclose(counts[:early], expected_early, atol=5 * np.sqrt(expected_early))
    np.testing.assert_allclose(counts[late:], expected_late, atol=5 * np.sqrt(expected_late))


def test_adding_values_are_uniform_and_the_criterion_is_the_papers() -> None:
    task = build_task("adding", {})
    batch = task.train_batch(seed=0, step=0, size=4000)
    values = batch.inputs[:, :, 0]
    assert values.min() >= -0.5
    assert values.max() < 0.5
    counts, _ = np.histogram(values, bins=20, range=(-0.5, 0.5))
    np.testing.assert_allclose(counts / values.size, 0.05, atol=0.003)
    assert batch.targets.var() == pytest.approx(1 / 6, rel=0.1)
    assert pytest.approx(1 / 600) == SOLVED_BELOW
    assert task.solved(1 / 601)
    assert not task.solved(1 / 599)


@pytest.mark.parametrize(("sample_milliseconds", "length"), [(1.0, 100), (0.5, 200)])
def test_frequency_lengths(sample_milliseconds: float, length: int) -> None:
    assert build_task("frequency", {"sample_milliseconds": sample_milliseconds}).length == length


def test_frequency_classes_are_balanced_and_periods_are_right() -> None:
    task: Any = build_task("frequency", {})
    assert (task.train_batch(seed=0, step=0, size=256).targets == 0).sum() == 128
    for size in (7, 1):
        of_class_0 = [int((task.train_batch(seed=0, step=step, size=size).targets == 0).sum()) for step in range(400)]
        assert set(of_class_0) == {size // 2, size // 2 + 1}
        assert np.mean(of_class_0) == pytest.approx(size / 2, abs=0.1), "the one that is over is of either class"
    draws = generator(seed=0, stream="test", step=0).random(100_000)
    inside = task._periods(np.zeros(draws.size), draws)
    outside = task._periods(np.ones(draws.size), draws)
    assert (inside.min(), inside.max()) == (pytest.approx(5, abs=1e-3), pytest.approx(6, abs=1e-3))
    assert not ((outside > 5) & (outside < 6)).any()
    assert (outside.min(), outside.max()) == (pytest.approx(1, abs=1e-2), pytest.approx(100, abs=1e-2))
    assert (outside < 5).mean() == pytest.approx(4 / 98, abs=0.003)


def test_frequency_samples_are_the_sine_of_their_period() -> None:
    """A sine sampled at a fixed rate obeys x[t+1] + x[t-1] = 2 cos(2π / period) x[t]."""
    batch = build_task("frequency", {}).train_batch(seed=0, step=0, size=512)
    x = batch.inputs[:, :, 0].astype(np.float64)
    both, middle = x[:, 2:] + x[:, :-2], x[:, 1:-1]
    cosine = (both * middle).sum(axis=1) / (2 * (middle**2).sum(axis=1))
    period = 2 * np.pi / np.arccos(np.clip(cosine, -1, 1))
    in_range = (period > 4.99) & (period < 6.01)
    assert in_range[batch.targets == 0].all()
    # Aliasing folds periods under 2 ms onto longer ones, so a few of class 1 may look alike.
    assert in_range[batch.targets == 1].mean() < 0.05
    np.testing.assert_allclose(both, 2 * cosine[:, None] * middle, atol=2e-5)


def test_digits_are_real_split_once_and_scaled() -> None:
    task = build_task("digits", {})
    held = {
        split: list(task.evaluation_batches(split, size=64, sequences=1))  # type: ignore[arg-type]
        for split in ("validation", "test")
    }
    rows = {
        split: np.concatenate([batch.inputs for batch in batches]).reshape(-1, 64) for split, batches in held.items()
    }
    assert {split: len(images) for split, images in rows.items()} == {"validation": 200, "test": 400}
    assert rows["test"].min() == 0.0
    assert rows["test"].max() == 1.0
    classes = np.concatenate([batch.targets for batch in held["test"]])
    assert np.bincount(classes, minlength=10).min() >= 25
    seen = epoch(task, epoch_number=0)
    assert len(seen) == 18 * 64
    assert not ({row.tobytes() for row in rows["test"]} & seen)


def epoch(task: Task, *, epoch_number: int) -> set[bytes]:
    steps = task.steps_per_epoch(64)
    batches = [task.train_batch(seed=0, step=epoch_number * steps + position, size=64) for position in range(steps)]
    return {row.tobytes() for batch in batches for row in batch.inputs.reshape(-1, 64)}


def test_an_epoch_visits_examples_once_in_an_order_of_its_own() -> None:
    orders = [epoch_rows("x", examples=99, seed=0, step=step, size=99) for step in range(2)]
    assert sorted(orders[0]) == list(range(99))
    assert (orders[0] != orders[1]).any()


def test_data_folder_is_not_touched_by_generated_tasks(tmp_path: Path) -> None:
    task = build_task("adding", {}, data=tmp_path / "nowhere")
    task.prepare()
    task.train_batch(seed=0, step=0, size=2)
    assert task.data_problem() == ""
    assert not (tmp_path / "nowhere").exists()
