"""Who else runs a trial on this machine: seen while it lives, and not after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
