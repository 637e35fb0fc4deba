"""What has to be as it was for a trial to go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.train.conditions import ROOT, SOURCES, code_checksum_now, conditions


def test_another_card_is_another_condition_and_a_cpu_has_none() -> None:
    on_the_cpu, on_a_card, on_another = (conditions(threads=1, checksums="x", card=card) for card in ("", "A", "B"))
    assert "graphics card" not in on_the_cpu, "what stood before cards were told goes on"
    assert on_a_card["graphics card"] == "A"
    assert len({tuple(each.items()) for each in (on_the_cpu, on_a_card, on_another)}) == 3


@pytest.mark.parametrize("name", ["bench/plan/trial.py", "bench/train/loop.py", "impls/pytorch/learner.py"])
def test_other_code_that_makes_numbers_is_another_condition(name: str, tmp_path: Path) -> None:
    for source in SOURCES:
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)
    assert code_checksum_now(tmp_path) == code_checksum_now()
    with (tmp_path / name).open("a") as file:
        file.write("#")
    assert code_checksum_now(tmp_path) != code_checksum_now()


def test_what_compiles_the_kernels_is_a_condition() -> None:
    told = conditions(threads=1, checksums="x")
    assert "numba " in told["packages"]
    assert "llvmlite " in told["packages"]
