"""Data are prepared by one trial at a time, and nobody waits who prepares nothing."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import DataError, DiskError
from bench.launch.preparation import LOCK, one_at_a_time, prepare_beside_others
from bench.launch.process import recorded
from bench.launch.process.heard import Message
from bench.launch.process.recorded import ENDED, run_recorded
from bench.machine import disk
from bench.records.running.lone_folder import LoneFolder
from bench.train.progress import Life
from tests.bench.disks import SmallDisk, failing
from tests.bench.launch.test_launch import ROOT, trial
from tests.bench.tasks.layouts import write_reviews

PATIENCE_SECONDS = 20.0
HOLDING = """
import sys
from pathlib import Path
from bench.launch.preparation import one_at_a_time
with one_at_a_time(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(data: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that prepares until its standard input is closed."""
    words = [sys.executable, "-c", HOLDING, str(data)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "\n"
        patience = threading.Timer(PATIENCE_SECONDS, process.stdin.close)
        patience.start()
        try:
            yield process
        finally:
            patience.cancel()


def test_a_trial_that_waits_for_another_to_prepare_its_data_shows_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr("bench.train.training.run_trial", lambda trial, **told: None)
    monkeypatch.setattr(recorded, "_redirect_output", lambda path: None)
    monkeypatch.setattr(recorded.signal, "signal", lambda number, answer: None)
    lives: list[int] = []

    def prepare() -> None:
        with one_at_a_time(tmp_path / "data"):
            assert len(lives) >= 3

    with held_by_another(tmp_path / "data") as other:

        def tell(message: Message) -> None:
            assert isinstance(message, Life)
            lives.append(message.slow_answers)
            if len(lives) == 3:
                assert other.stdin is not None
                other.stdin.close()

        made = trial()
        store = LoneFolder(tmp_path, trial_id=made.id)
        watcher = SimpleNamespace(tell=tell)
        code = run_recorded(made, store=store, watcher=watcher, data=tmp_path, threads=1, prepare=prepare)
    assert code == ENDED
    assert lives == [*range(1, len(lives) + 1)], "each is another, and so a sign of life"


ASKED_TO_END = """
import os, signal, sys
from pathlib import Path
from bench.launch.preparation import prepare_data
from bench.plan.trial import build_trial
from bench.tasks import imdb
def build(folder, **told):
    (folder / "tokens.npy").touch()
    os.kill(os.getpid(), signal.SIGTERM)
imdb._build = build
trial = build_trial({"task": "imdb", "cell": "lstm", "framework": "pytorch"}, where="test")
try:
    prepare_data([trial], data=Path(sys.argv[1]))
except KeyboardInterrupt:
    print(signal.getsignal(signal.SIGTERM).name)
"""


def test_asked_to_end_a_preparation_leaves_nothing(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    words = [sys.executable, "-c", ASKED_TO_END, str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "SIG_DFL\n", "as it was before"
    assert list((tmp_path / "prepared" / "imdb").iterdir()) == []


def test_a_task_without_data_waits_for_nobody_and_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.launch.preparation.one_at_a_time", lambda data: pytest.fail("it would wait"))
    prepare_beside_others(trial(), data=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_data_on_a_disk_that_is_read_only_are_read(small_disk: SmallDisk) -> None:
    made = trial(task="ucf101", options={})
    with small_disk.read_only():
        for data in (small_disk.place, small_disk.place / "data"):
            with pytest.raises(DataError, match="missing"):
                prepare_beside_others(made, data=data)
    with pytest.raises(DataError, match="missing"):
        prepare_beside_others(made, data=small_disk.place)
    assert (small_disk.place / LOCK).is_file()


def test_a_data_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(DiskError, match="data"), one_at_a_time(tmp_path / "data"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_keeps_nobody_waiting(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.lockf", failing(number))
    with one_at_a_time(tmp_path):
        pass
