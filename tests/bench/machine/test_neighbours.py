"""Who else runs a trial on this machine: seen while it lives, and not after."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine.neighbours import Neighbours, shared_folder

ROOT = Path(__file__).resolve().parents[3]
OTHER = """
import sys, time
from pathlib import Path
from bench.machine.neighbours import Neighbours
with Neighbours(Path(sys.argv[1])):
    print("here", flush=True)
    sys.stdin.read()
"""


def begin(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OTHER, str(folder)]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "here\n"
    return other


def test_others_are_counted_while_they_run(tmp_path: Path) -> None:
    with Neighbours(tmp_path) as neighbours:
        assert neighbours.count() == 0, "not itself"
        first, second = begin(tmp_path), begin(tmp_path)
        assert neighbours.count() == 2
        first.communicate("")
        assert neighbours.count() == 1
        second.kill()
        second.communicate()
        assert neighbours.count() == 0, "who was killed left a file"
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_a_trial_shows_itself_to_other_commands() -> None:
    with Neighbours() as neighbours:
        assert neighbours._own.parent == shared_folder()
        assert neighbours._own.exists()
    assert not neighbours._own.exists()


def test_a_folder_that_was_cleared_while_a_trial_runs_is_made_again(tmp_path: Path) -> None:
    """Temporary folders are emptied now and then: a week-long trial must not end for it, nor be alone from then on."""
    folder = tmp_path / "shared"
    with Neighbours(folder) as neighbours:
        shutil.rmtree(folder)
        assert neighbours.count() == 0
        assert len(list(folder.iterdir())) == 1


def test_somebody_elses_file_is_no_trial_and_stays(tmp_path: Path) -> None:
    for name in ("notes.txt", "12-", "-7", "1-2-3"):
        (tmp_path / name).touch()
    with Neighbours(tmp_path) as neighbours:
        assert neighbours.count() == 0
    assert len(list(tmp_path.iterdir())) == 4


def test_where_the_folder_cannot_be_used_it_is_not_known_who_else_runs(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("a file stands where the folder should")
    with Neighbours(tmp_path / "shared") as neighbours:
        assert neighbours.count() is None


def test_one_that_another_removes_at_the_same_time_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "1-2"
    left.touch()
    with Neighbours(tmp_path) as neighbours:
        monkeypatch.setattr("bench.machine.neighbours.process_start", lambda process_id: left.unlink())
        assert neighbours.count() == 0
