"""Folders for a process's own use: whose stay, and whose are removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.machine import scratch
from bench.machine.processes import process_start
from bench.machine.scratch import scratch_folder


def test_folders_of_processes_that_live_and_of_nobody_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "scratch_root", lambda: tmp_path)
    process_id, other = os.getpid(), os.getppid()
    names = {
        "own, left behind": f"{process_id}-{process_start(process_id)}",
        "another's that lives": f"{other}-{process_start(other)}",
        "one's that had this number before": f"{other}-1",
        "nobody's": "notes",
    }
    for name in names.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    with scratch_folder() as own:
        assert own.name == names["own, left behind"]
        assert not list(own.iterdir()), "empty, whatever was there"
        there = {path.name for path in tmp_path.iterdir()}
        assert there == {own.name, names["another's that lives"], names["nobody's"]}
        assert (tmp_path / names["another's that lives"] / "file").exists()
    assert {path.name for path in tmp_path.iterdir()} == there - {own.name}
