"""A trial's heartbeat: beats while the trial runs, with what it told last, and none afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.launch.process.heard import DiskTrouble
from bench.launch.process.heartbeat import Beat, Heartbeat, read_beat
from bench.records.running.lone_folder import HEARTBEAT
from bench.train.progress import Life, Progress

PATIENCE_SECONDS = 60.0


def wait_until(come: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not come():
        assert time.monotonic() < until
        time.sleep(0.005)


def beat_of(folder: Path) -> Beat:
    beat = read_beat(folder)
    assert beat is not None
    return beat


def test_it_beats_while_the_trial_runs_and_not_afterwards(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, seconds=0.01):
        first = beat_of(tmp_path)
        assert (first.node, first.process_id) == (socket.gethostname(), os.getpid())
        assert first.progress is None, "before the first step"
        wait_until(lambda: beat_of(tmp_path).beats > first.beats + 2)
        assert beat_of(tmp_path).processor_seconds >= first.processor_seconds > 0
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}
    assert [path.name for path in tmp_path.iterdir()] == [HEARTBEAT]


def test_the_last_beat_holds_all_that_was_told(tmp_path: Path) -> None:
    progress = Progress(step=3, steps=9, loss=0.5, quality=0.25, update_ratio=0.75)
    with Heartbeat(tmp_path, seconds=1e3) as heartbeat:
        heartbeat.tell(Life(computing=True, conditions={"threads": "2"}))
        heartbeat.tell(progress)
        heartbeat.tell(Life(computing=False))
        heartbeat.tell(DiskTrouble("the disk is full"))
        assert heartbeat.trouble == "the disk is full"
    beat = beat_of(tmp_path)
    assert beat.progress == progress
    assert (beat.computing, beat.conditions, beat.trouble) == (False, {"threads": "2"}, "the disk is full")
    assert beat.beats == 2, "at the beginning and at the end"


def test_where_the_folder_is_gone_the_process_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run has the trial."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    folder = tmp_path / "trial"
    folder.mkdir()
    with Heartbeat(folder, seconds=0.01):
        wait_until(lambda: beat_of(folder).beats > 1)
        assert not codes

        def gone_and_noticed() -> bool:
            shutil.rmtree(folder, ignore_errors=True)  # again where a beat came between
            return bool(codes)

        wait_until(gone_and_noticed)
    assert set(codes) == {1}
    assert not folder.exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_does_not_answer_once_costs_a_beat_and_no_more(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat, fails = os.stat, threading.Event()

    def failing(path: Any, **told: Any) -> os.stat_result:
        if fails.is_set() and path == tmp_path:
            fails.clear()
            raise OSError(number, os.strerror(number), str(path))
        return stat(path, **told)

    monkeypatch.setattr(os, "stat", failing)
    with Heartbeat(tmp_path, seconds=0.01):
        fails.set()
        wait_until(lambda: not fails.is_set())
        beats = beat_of(tmp_path).beats
        wait_until(lambda: beat_of(tmp_path).beats > beats + 1)


@pytest.mark.parametrize("text", ["", "{", '{"node": "a"}'])
def test_what_is_no_beat_is_none(text: str, tmp_path: Path) -> None:
    assert read_beat(tmp_path) is None
    (tmp_path / HEARTBEAT).write_text(text, encoding="utf-8")
    assert read_beat(tmp_path) is None
