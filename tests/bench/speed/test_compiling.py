"""What a GPU's benchmarks run is compiled before: all of it, each part once, in shares that leave nothing out."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench.speed import compiling, running
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


def test_kernels_are_compiled_ahead_in_shares(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All at a time; one that fails is told, and stops nothing."""
    begun: list[list[str]] = []

    @contextmanager
    def process(command: list[str], variables: dict[str, str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
        begun.append(command)
        program = f"import sys; sys.exit({len(begun) == 2})"
        with started([sys.executable, "-c", program], variables, **streams) as running_now:
            assert running_now.poll() is None, "none is waited for before all have begun"
            yield running_now

    started = running._process
    monkeypatch.setattr(running, "_process", process)
    monkeypatch.setattr(running.os, "sched_getaffinity", lambda process: range(3))
    running.compile_ahead("pytorch", scale="gpu", device="cuda")
    assert [command[-4:] for command in begun] == [["pytorch", "gpu", "cuda", f"{number}/3"] for number in range(3)]
    assert "1 of 3 processes did not compile all of their kernels ahead" in capfd.readouterr().err


def test_a_process_that_compiles_for_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def process(command: list[str], variables: dict[str, str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
        with started([sys.executable, "-c", "import time; time.sleep(600)"], variables, **streams) as running_now:
            begun.append(running_now)
            yield running_now

    started = running._process
    monkeypatch.setattr(running, "_process", process)
    running.compile_ahead("pytorch", scale="gpu", device="cuda", seconds=0.1)
    assert {one.returncode for one in begun} == {-signal.SIGKILL}
    assert f"{len(begun)} of {len(begun)} processes" in capfd.readouterr().err
