"""What is measured on a GPU, and in which order a budget takes it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from bench.speed.scales import SCALES, Scale, Setting, by_importance, grid
from bench.speed.workloads import Workload
from impls.contract import BASELINES, FRAMEWORKS, PRECISIONS
from impls.kinds import skip_cells

TWO = Scale(
    passes=2,
    seconds=0,
    settings=(
        Setting(training=False, length=9, input_size=2, cells=("skip_gru",), engines=("fast",)),
        Setting(training=True, length=9, input_size=2, cells=("skip_lstm",), precision="bfloat16"),
    ),
)


def together(workload: Workload) -> Workload:
    """What is compared with each other has this in common."""
    return replace(workload, subject="", cell=workload.cell.removeprefix("skip_"), updates_every=1)


def test_settings_come_whole_in_their_order_and_alternate_pass_by_pass() -> None:
    plan = by_importance(grid("pytorch", scale=TWO, training=None), passes=2)
    assert len(plan) == len(set(plan))
    told = [(workload.training, number) for number, workload in plan]
    assert [key for key, _ in itertools.groupby(told)] == [(False, 0), (False, 1), (True, 0), (True, 1)]
    first = [workload.subject for number, workload in plan if not workload.training and number == 0]
    assert first == ["native", "products", "fast", "fast", "fast"]
    again = [workload.subject for number, workload in plan if not workload.training and number == 1]
    assert again == first


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_wherever_a_budget_ends_there_is_something_to_compare_with(framework: str) -> None:
    """An engine's time is never taken before the floor's and the native layer's."""
    seen: set[tuple[Workload, str]] = set()
    for _, workload in by_importance(grid(framework, scale=SCALES["gpu"], training=None), passes=5):
        seen.add((together(workload), workload.subject))
        if workload.subject not in BASELINES[framework]:
            here = {subject for key, subject in seen if key == together(workload)}
            assert here >= set(BASELINES[framework])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_gpu_is_measured_over_updates_sizes_and_precisions(framework: str) -> None:
    fast = [one for one in grid(framework, scale=SCALES["gpu"], training=None) if one.subject == "fast"]
    assert {one.cell for one in fast} == set(skip_cells())
    assert {one.updates_every for one in fast} == {1, 2, 10, 50}
    assert {one.batch_size for one in fast} >= {1, 32, 256, 1024}
    assert {one.units for one in fast} >= {64, 110, 256, 512, 1024}
    assert {(one.precision, one.training) for one in fast} == set(itertools.product(PRECISIONS, (True, False)))
    first = fast[0]
    assert (first.training, first.length, first.batch_size, first.units, first.precision) == (
        True, 784, 256, 110, "float32",
    )  # fmt: skip


def test_precisions_that_a_card_has_not_are_left_out() -> None:
    kept = grid("pytorch", scale=SCALES["gpu"], training=None, precisions=["float32"])
    assert {one.precision for one in kept} == {"float32"}
    assert len(kept) < len(grid("pytorch", scale=SCALES["gpu"], training=None))


def test_workloads_of_a_grid_have_names_of_their_own() -> None:
    for name, scale in SCALES.items():
        for training in (True, False):
            named = [str(one) for one in grid("pytorch", scale=scale, training=training)]
            assert len(named) == len(set(named)), name
