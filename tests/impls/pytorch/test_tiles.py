"""The kernels for a GPU in Triton's interpreter, on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install '.[triton]'")


ROOT = Path(__file__).parents[3]


def interpreted(marker: str) -> str:
    """What pytest says of the tests of `tiles_interpreted.py` with this marker, Triton's interpreter on."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--durations=5"]
    finished = subprocess.run(
        [*command, "-m", marker, "tests/impls/pytorch/tiles_interpreted.py"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},  # read when Triton is imported
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_in_the_interpreter() -> None:
    assert " passed" in interpreted("not slow")


@pytest.mark.slow
def test_random_cells_in_the_interpreter() -> None:
    assert " passed" in interpreted("slow")


def test_kernels_know_every_kind_that_the_fast_engine_knows() -> None:
    from impls import kinds
    from impls.pytorch.engines.tiles.kinds import KINDS

    assert set(KINDS) == {name for name, kind in kinds.KINDS.items() if kind.has_kernels}
