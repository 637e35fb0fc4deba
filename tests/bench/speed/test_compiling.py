"""What a GPU's benchmarks run is compiled before: all of it, each part once, in shares that leave nothing out."""

from __future__ import annotations

from typing import Any

import pytest

from bench.speed import compiling
from bench.speed.compiling import to_compile
from bench.speed.correctness import shapes_on
from bench.speed.scales import SCALES, grid
from impls.contract import PRECISIONS
from impls.kinds import skip_cells


def kernels(of: Any) -> tuple[object, ...]:
    """What a kernel is compiled for."""
    return of.cell, of.units, of.input_size, of.precision, of.training


def test_everything_that_is_measured_or_compared_is_compiled_once_and_with_little_work() -> None:
    found = to_compile("pytorch", scale="gpu", device="cuda", precisions=PRECISIONS)
    assert len(found) == len(set(map(kernels, found)))
    measured = grid("pytorch", scale=SCALES["gpu"], training=None, device="cuda")
    compared = {
        (cell, shape.units, shape.features, precision, training)
        for precision in PRECISIONS
        for shape in shapes_on("cuda", precision=precision)
        for cell in skip_cells()
        for training in (True, False)
    }
    assert {kernels(one) for one in measured if one.subject == "fast"} | compared == set(map(kernels, found))
    assert {(one.subject, one.device, one.batch_size * one.length) for one in found} == {("fast", "cuda", 4)}


def test_a_precision_that_a_card_has_not_is_not_compiled_for() -> None:
    found = to_compile("pytorch", scale="gpu", device="cuda", precisions=["float32"])
    assert {one.precision for one in found} == {"float32"}


def test_shares_leave_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is run, so that whatever has to be compiled for it is."""
    prepared: list[Any] = []

    class Preparation:
        def prepare(self, workload: Any) -> None:
            prepared.append(workload)

    monkeypatch.setattr(compiling, "Preparation", Preparation)
    for number in range(3):
        compiling.main("pytorch", "tiny", "cpu", f"{number}/3")
    everything = to_compile("pytorch", scale="tiny", device="cpu", precisions=["float32", "bfloat16"])
    assert sorted(map(str, prepared)) == sorted(map(str, everything))


def test_a_tiny_workload_runs() -> None:
    """As those do that are timed, and with the updates that they have."""
    for workload in to_compile("pytorch", scale="tiny", device="cpu", precisions=["float32"])[:2]:
        assert compiling.Preparation().prepare(workload).implementation == "kernels"
