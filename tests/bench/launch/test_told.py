"""What a run tells: the display and the file of events, of a real sweep of two trials."""

from __future__ import annotations

import os
import socket
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.launch.display.events import JournalDisplay
from bench.launch.display.terminal import LiveDisplay
from bench.launch.duration.countdown import Countdown
from bench.launch.duration.estimate import groups
from bench.launch.executor import Where
from bench.launch.local.local_executor import LocalExecutor
from bench.launch.running import run_sweep
from bench.plan import sweep as sweeps
from bench.records.journal import Entry, entries, journal_path
from bench.records.store import Store
from bench.train.progress import Progress
from tests.bench.launch.test_launch import trial
from tests.bench.launch.test_sharing import TINY


@pytest.mark.usefixtures("learns_nothing")
def test_the_events_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.launch.duration.estimate.slowdown", lambda: 1.0)
    (tmp_path / "tiny.toml").write_text(TINY.format(steps=4).replace("[0, 1, 2, 3]", "[0, 1]"))
    sweep = sweeps.load(str(tmp_path / "tiny.toml"))
    console = Console(file=StringIO())
    run_sweep(
        sweep, store=Store(tmp_path), data=tmp_path, executor=LocalExecutor(workers=1, data=tmp_path), console=console
    )
    told = list(entries(journal_path(tmp_path, "tiny")))
    assert {entry.run for entry in told} == {f"{socket.gethostname()} {os.getpid()}"}
    first, second = (one.id for one in sweep.trials)
    assert [(entry.event, entry.trial_id) for entry in told if entry.event != "progressed"] == [
        ("begun", None),
        ("started", first),
        ("placed", first),
        ("finished", first),
        ("started", second),
        ("placed", second),
        ("finished", second),
        ("ended", None),
    ]
    assert told[0].trials == 2
    assert {(entry.node, entry.device) for entry in told if entry.event == "placed"} == {(socket.gethostname(), "cpu")}
    last = [entry for entry in told if entry.event == "progressed"][-1]
    assert (last.step, last.steps) == (4, 4)
    assert [entry.status for entry in told if entry.event == "finished"] == ["ok", "ok"]
    assert told[-2].seconds_left == 0.0
    assert all(entry.seconds_left is None or entry.seconds_left >= 0.0 for entry in told)


def test_progress_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    made = trial()
    countdown = Countdown({made.id: 1.0}, groups={made.id: groups(made)}, workers=1)
    display = JournalDisplay(tmp_path, sweep="tiny", trials=1, countdown=countdown)
    for step in (1, 2, 3, 4):
        display.progressed(made, Progress(step=step, steps=4))
    assert [entry.step for entry in entries(journal_path(tmp_path, "tiny"))] == [1, 4]


def test_a_run_that_does_not_end_by_itself_says_why(tmp_path: Path) -> None:
    def fail() -> None:
        with JournalDisplay(tmp_path, sweep="tiny", trials=1, countdown=Countdown({}, groups={}, workers=1)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    told: list[Entry] = list(entries(journal_path(tmp_path, "tiny")))
    assert [(entry.event, entry.error) for entry in told] == [("begun", None), ("ended", "KeyboardInterrupt")]


def test_the_live_table_says_which_node_and_device() -> None:
    made, waiting = trial(), trial(seed=1)
    console = Console(file=StringIO(), width=120, force_terminal=True)
    estimates = {made.id: 1.0, waiting.id: 1.0}
    alike = {made.id: groups(made), waiting.id: groups(waiting)}
    with LiveDisplay(console, trials=2, countdown=Countdown(estimates, groups=alike, workers=2)) as display:
        for one in (made, waiting):
            display.started(one)
        display.placed(made, Where(node="node7", device="GPU 3"))
    (placed,) = [line for line in console.file.getvalue().splitlines()[-6:] if "seed=0" in line]
    (queued,) = [line for line in console.file.getvalue().splitlines()[-6:] if "seed=1" in line]
    assert "node7  GPU 3   starting" in placed
    assert "queued" in queued


def test_the_live_table_forgets_where_a_trial_ran_that_waits_again() -> None:
    made = trial()
    console = Console(file=StringIO(), width=120, force_terminal=True)
    with LiveDisplay(
        console, trials=1, countdown=Countdown({made.id: 1.0}, groups={made.id: groups(made)}, workers=1)
    ) as display:
        display.started(made)
        display.placed(made, Where(node="node7", device="GPU 3"))
        display.put_back(made, "it was lost")
        display.started(made)
    (row,) = [line for line in console.file.getvalue().splitlines()[-6:] if "lstm" in line and "waits" not in line]
    assert "queued" in row
    assert "node7" not in row
