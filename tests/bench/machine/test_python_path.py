"""A Python that another starts finds the project, and what came by PYTHONPATH."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine.python_path import python_path


def test_it_finds_the_project_and_what_else_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carried.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    program = "import carried, impls, bench; print(bench.__file__)"
    command = [sys.executable, "-S", "-c", program]  # without what is installed, the project too
    variables = {"PYTHONPATH": python_path()}
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == Path(__file__).parents[3] / "bench" / "__init__.py"


def test_nothing_else_is_named_where_nothing_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty entry would be the folder that one is in."""
    monkeypatch.setenv("PYTHONPATH", "")
    assert python_path() == str(Path(__file__).parents[3])
