"""What a record says of the graphics card, by a driver's program that answers as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.machine.environment import environment
from bench.machine.graphics import VISIBLE, cards_listed, graphics_card
from bench.report.comparison.conditions import CONDITIONS

CARD = "NVIDIA H100 80GB HBM3, 81559 MiB, 9.0, 570.86.15"


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, *, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_card_is_named_with_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    driver(tmp_path, monkeypatch, script=f'echo "$@" >> {tmp_path}/asked; echo "{CARD}"; echo "another, 1 MiB, 1.0, 1"')
    told = graphics_card()
    assert told == {
        "gpu": "NVIDIA H100 80GB HBM3",
        "gpu_memory": "81559 MiB",
        "gpu_capability": "9.0",
        "gpu_driver": "570.86.15",
    }
    assert environment(threads=1, device="cuda").items() > told.items()
    assert "environment.gpu" in CONDITIONS
    assert "--id" not in (tmp_path / "asked").read_text()


def test_the_card_asked_for_is_the_first_that_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "3,1")
    driver(tmp_path, monkeypatch, script=f'case "$*" in *--id=3) echo "{CARD}";; *) exit 6;; esac')
    assert graphics_card()["gpu"] == "NVIDIA H100 80GB HBM3"


def test_a_trial_on_the_cpu_has_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, script=f'echo "{CARD}"')
    assert "gpu" not in environment(threads=1)


@pytest.mark.parametrize("script", ['echo "No devices were found"; exit 6', 'echo "No devices were found"', ":"])
def test_where_nobody_tells_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    driver(tmp_path, monkeypatch, script=script)
    assert graphics_card() == {}


def test_without_a_driver_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graphics_card() == {}
    assert cards_listed() == ()


def test_cards_and_their_parts_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, script='[ "$*" = -L ] && printf "GPU 0: a card\\n  MIG 1g Device 0: a part\\n"')
    assert cards_listed() == ("GPU 0: a card", "MIG 1g Device 0: a part")
    driver(tmp_path, monkeypatch, script='echo "no driver"; exit 9')
    assert cards_listed() == ()
