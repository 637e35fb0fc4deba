"""What a framework says of its devices, where importing it fails, and of the GPUs that are named for trials."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from bench.errors import DeviceError
from bench.machine import devices
from bench.machine.gpus import gpu_variables
from impls.contract import DeviceReport

NAMES = {"pytorch": "PyTorch", "tensorflow": "TensorFlow"}
LISTED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5e)
  MIG 1g.10gb     Device  0: (UUID: MIG-1a)
"""


@pytest.mark.parametrize(
    ("said", "told"), [("Traceback\n  File\nImportError: no libfoo\n", "ImportError: no libfoo"), ("", "no message")]
)
def test_a_framework_that_does_not_import_is_told_in_its_last_line(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=said)

    monkeypatch.setattr(subprocess, "run", fail)
    report = devices.describe("pytorch")
    assert report.problem == f"importing it fails: {told}"
    assert report.cuda_devices == ()


class Machine:
    """One with a card, as the processes that are started here would find it.

    Attributes:
        cards: by the names that a process may be given for them.
        blind: frameworks that see none.
        listed: what the driver's program says of the cards; None where there is no such program.
        asked: the processes that were started: the framework, and which GPU it was to see.
    """

    def __init__(self) -> None:
        self.cards = ("0", "GPU-5e")
        self.blind: tuple[str, ...] = ()
        self.listed: str | None = LISTED
        self.asked: list[tuple[str, str | None]] = []

    def run(self, command: list[str], *, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        if command == ["nvidia-smi", "-L"]:
            if self.listed is None:
                raise FileNotFoundError(command[0])
            return subprocess.CompletedProcess(command, 0, stdout=self.listed, stderr="")
        assert command[0] == sys.executable
        assert env is not None
        framework, gpu = command[-1], env.get("CUDA_VISIBLE_DEVICES")
        self.asked.append((framework, gpu))
        if gpu is not None:
            assert env.items() >= gpu_variables(gpu).items(), "as a trial's process"
        sees = gpu in (None, *self.cards) and framework not in self.blind
        report = DeviceReport(
            framework=framework,
            version="1",
            cuda_devices=("NVIDIA H100 80GB HBM3",) if sees else (),
            problem="" if sees else f"{NAMES[framework]} finds no usable CUDA device",
        )
        return subprocess.CompletedProcess(command, 0, stdout=json.dumps(asdict(report)), stderr="")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(subprocess, "run", made.run)
    monkeypatch.setattr(devices, "installed", lambda framework: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made


BOTH = [("pytorch", "cuda"), ("tensorflow", "cuda"), ("pytorch", "cpu")]


def test_a_gpu_that_is_not_there_is_refused_by_its_name(machine: Machine) -> None:
    with pytest.raises(DeviceError) as refused:
        devices.check(BOTH, gpus=("0", "7", "12"))
    assert str(refused.value) == (
        "--gpus 0,7,12: no trial could use 7, 12: PyTorch finds no usable CUDA device; nvidia-smi -L tells of "
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5e), MIG 1g.10gb     Device  0: (UUID: MIG-1a)"
    )
    asked = sorted(machine.asked)
    assert asked == [("pytorch", "0"), ("pytorch", "12"), ("pytorch", "7"), ("tensorflow", "0")], "one process each"


def test_where_the_first_is_not_there_it_is_told_once(machine: Machine) -> None:
    machine.listed = None
    with pytest.raises(DeviceError) as refused:
        devices.check(BOTH, gpus=("7",))
    assert str(refused.value) == (
        "--gpus 7: no trial could use 7: PyTorch finds no usable CUDA device; nvidia-smi -L tells of nothing"
    )


def test_gpus_that_are_there_are_used_by_number_or_identifier(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this process may see: a trial's own variables take its place."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices.check(BOTH, gpus=("0", "GPU-5e"))


def test_a_framework_that_cannot_use_a_gpu_is_told_apart_from_a_gpu(machine: Machine) -> None:
    machine.blind = ("tensorflow",)
    with pytest.raises(DeviceError) as refused:
        devices.check(BOTH, gpus=("0",))
    assert str(refused.value) == (
        "--device cuda: TensorFlow finds no usable CUDA device; use --device cpu or leave tensorflow out"
    )


def test_without_gpus_named_each_framework_is_asked_once_and_trials_on_the_cpu_ask_for_none(machine: Machine) -> None:
    devices.check(BOTH)
    assert machine.asked == [("pytorch", None), ("tensorflow", None)]
    machine.asked.clear()
    devices.check([("pytorch", "cpu")], gpus=("7",))
    assert not machine.asked
