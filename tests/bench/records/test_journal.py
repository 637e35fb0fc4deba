"""The file of events: one line each, whoever writes, and nothing lost with a line that was cut off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import DiskError
from bench.records.journal import Journal, entries, journal_path
from tests.bench.disks import SmallDisk

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from pathlib import Path
from bench.records.journal import Journal
journal = Journal(Path(sys.argv[1]), run=sys.argv[2])
for step in range(200):
    journal.add("progressed", trial_id="a" * 16, step=step, label="λ" * 50)
"""


def test_a_line_holds_what_there_is_to_tell(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "quick")
    Journal(path, run="one 7").add("progressed", trial_id="abc", step=3, loss=float("nan"), quality=None)
    (line,) = path.read_text().splitlines()
    content = json.loads(line)
    assert content.pop("time").endswith("+00:00")
    assert content == {"run": "one 7", "event": "progressed", "trial_id": "abc", "step": 3}


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "quick.events.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)], cwd=ROOT) for number in range(3)
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    found = list(entries(path))
    assert len(path.read_bytes().splitlines()) == len(found) == 600
    for number in range(3):
        assert [entry.step for entry in found if entry.run == str(number)] == list(range(200))


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_last_line_that_was_cut_off_costs_itself_alone(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "quick.events.jsonl"
    journal = Journal(path, run="one")
    for step in range(3):
        journal.add("progressed", step=step)
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:kept])
    before = [entry.step for entry in entries(path)]
    assert before == ([0, 1, 2] if kept == -1 else [0, 1]), "a line that lacks its break alone is whole"
    journal.add("progressed", step=9)
    assert [entry.step for entry in entries(path)] == [*before, 9]


def test_a_full_disk_is_told_and_leaves_no_half_line(small_disk: SmallDisk) -> None:
    path = small_disk.place / "quick.events.jsonl"
    journal = Journal(path, run="one")
    journal.add("begun")
    small_disk.fill()

    def write_on() -> None:
        for _ in range(100_000):
            journal.add("progressed", label="x" * 1000)

    with pytest.raises(DiskError, match="the disk is full"):
        write_on()
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_without_a_file_there_are_no_events(tmp_path: Path) -> None:
    assert list(entries(tmp_path / "none.events.jsonl")) == []
