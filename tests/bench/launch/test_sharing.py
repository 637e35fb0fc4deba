"""Several runs on one results folder: no trial twice, none lost, and the same report in the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bench.launch.executor import Event
from bench.launch.local.local_executor import LocalExecutor
from bench.launch.scheduler import run_trials
from bench.launch.waiting import Waiting
from bench.plan import sweep as sweeps
from bench.plan.trial import Trial
from bench.records.attempted import How
from bench.records.format import SCHEMA
from bench.records.record import Record, Status, failure
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import Holder, Lease, leased_trials, take_lease
from bench.records.store import Store
from tests.bench.launch.test_launch import LONG, ROOT, Watcher, children, run, trial, trial_process, wait_for

TINY = """
[[grid]]
task = "adding"
cell = "lstm"
units = 3
framework = "pytorch"
options.length = 4
seed = [0, 1, 2, 3]
protocol = {{ steps = {steps}, batch_size = 4, evaluate_every = {steps}, evaluation_sequences = 4 }}
"""


def begin(sweep: Path, results: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "run_all.py", str(sweep), "--results", str(results), "--reports", f"{results}-reports"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def starts(output: str) -> list[str]:
    return re.findall(r"^start  (\w{16})", output, flags=re.MULTILINE)


@pytest.mark.usefixtures("learns_nothing")
def test_two_runs_share_the_trials_and_end_alike(tmp_path: Path) -> None:
    sweep, results = tmp_path / "tiny.toml", tmp_path / "results"
    sweep.write_text(TINY.format(steps=4))
    runs = [begin(sweep, results) for _ in range(2)]
    outputs = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    started = [trial_id for output in outputs for trial_id in starts(output)]
    assert sorted(started) == sorted(trial.id for trial in sweeps.load(str(sweep)).trials), (
        "each trial was trained once"
    )
    for output in outputs:
        assert "4 ok" in output
        assert (tmp_path / "results-reports" / "tiny" / "index.html").is_file()
    assert not leased_trials(results)
    assert not attempts(results)


@pytest.mark.usefixtures("endless")
def test_the_trial_of_a_killed_run_is_taken_over_at_once(tmp_path: Path) -> None:
    sweep, results = tmp_path / "tiny.toml", tmp_path / "results"
    sweep.write_text(TINY.format(steps=1_000_000))
    killed = begin(sweep, results)
    try:
        wait_for(lambda: trial_process(killed.pid), seconds=60)
        wait_for(lambda: attempts(results), seconds=60)
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    (left,) = leased_trials(results)
    again = begin(sweep, results)
    try:
        assert again.stdout is not None
        lines = iter(again.stdout.readline, "")
        assert next(line for line in lines if line.startswith("start")).split()[1] == left
        assert len(attempts(results, left)) == 1, "what the killed run left is gone"
    finally:
        again.terminate()
        again.communicate()
    assert again.returncode == 130
    assert not attempts(results)
    assert not leased_trials(results)
    assert Store(results).trial_ids() == []


def end_in_another_run(results: Path, lease: Lease, record: Record) -> None:
    other = Attempt(results, lease=lease)
    other.start()
    other.write(record)
    other.end()


class Looking(LocalExecutor):
    """Acts once the run has no trial of its own, and is about to look what became of those that others hold."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(workers=1, data=Path("data"))
        self._act = act
        self._acted = False

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        if not self._running and not self._acted:
            self._acted = True
            self._act()
        return super().events(seconds=seconds, wake=wake)


@pytest.mark.parametrize("status", ["ok", "failed"])
def test_what_another_run_ends_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    monkeypatch.setattr("bench.launch.scheduler.POLL_SECONDS", 0.05)
    made, watcher = trial(), Watcher()
    lease = take_lease(tmp_path, made.id)
    assert lease is not None
    ended = failure(made, status=status, error="")
    executor = Looking(lambda: end_in_another_run(tmp_path, lease, ended))
    run_trials([made], executor=executor, store=Store(tmp_path), display=watcher)
    assert watcher.events == [("shared", made.id)]
    assert watcher.records[made.id].status == status


def fail_in_another_run(results: Path, made: Trial, how: How) -> None:
    lease = take_lease(results, made.id)
    assert lease is not None
    other = Attempt(results, lease=lease)
    other.start()
    other.begin(node="elsewhere", device="cpu")
    other.close(how, "no more")
    other.write(failure(made, status="failed", error="no more"))
    other.end()


@pytest.mark.parametrize(("how", "retries"), [("killed", 1), ("killed", 0), ("failed", 1)])
def test_what_the_machine_ended_in_another_run_is_tried_again_as_often_as_this_one_may(
    how: How, retries: int, tmp_path: Path
) -> None:
    """That run puts it back, and is about to try it again itself: it has not ended."""
    made, shared = trial(), list[str]()
    waiting = Waiting([made], store=Store(tmp_path), before={}, command="", workers=1, retries=retries)

    def take() -> bool:
        taken = waiting.take(shared=lambda trial, record: shared.append(record.status), between=lambda: None)
        if taken is not None:
            taken[1].end()
            waiting.put_back(made)
        return taken is not None

    fail_in_another_run(tmp_path, made, how)
    if how == "killed" and retries:
        assert take()
        assert take(), "it did not begin, which is no try"
        fail_in_another_run(tmp_path, made, how)
    assert not shared
    assert not take()
    assert shared == ["failed"]


@pytest.mark.usefixtures("learns_nothing")
def test_a_failure_of_an_earlier_run_is_run_again(tmp_path: Path) -> None:
    made, watcher = trial(), Watcher()
    Store(tmp_path).write(failure(made, status="failed", error="no room"))
    run([made], Store(tmp_path), watcher)
    assert watcher.events[0] == ("started", made.id)
    assert watcher.records[made.id].status == "ok"


@pytest.mark.usefixtures("endless")
def test_a_trial_that_was_taken_over_is_stopped_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trial(protocol=LONG)
    lost: list[Lease] = []

    def take_over(running: Trial) -> None:
        lease = Lease(folder=tmp_path / "leases" / running.id, number=2, token="another")
        lease.path.write_text(Holder.this_process(token="another").model_dump_json())
        lost.append(lease)

    def end() -> None:
        assert not children()
        end_in_another_run(tmp_path, lost[0], failure(made, status="ok", error=""))

    monkeypatch.setattr("bench.launch.scheduler.HEARTBEAT_SECONDS", 0.2)
    watcher = Watcher(take_over)
    run_trials([made], executor=Looking(end), store=Store(tmp_path), display=watcher)
    told = [event for event, _ in watcher.events if event != "progressed"]
    assert told == ["started", "put back", "shared"]
    assert not attempts(tmp_path)


@pytest.mark.slow  # the store's own tests do the same without training
@pytest.mark.parametrize("kind", ["edited", "of a later version"])
def test_a_record_that_is_not_believed(tmp_path: Path, kind: str) -> None:
    sweep, results = tmp_path / "tiny.toml", tmp_path / "results"
    sweep.write_text(TINY.format(steps=4).replace("[0, 1, 2, 3]", "0"))
    first = begin(sweep, results)
    first.communicate(timeout=240)
    assert first.returncode == 0
    (path,) = results.glob("trials/*/record.json")
    text = path.read_text()
    later = f'"schema": {SCHEMA + 1}, "taste": "sweet"'
    old, new = ('"seed": 0', '"seed": 1') if kind == "edited" else (f'"schema": {SCHEMA}', later)
    doctored = text.replace(old, new)
    assert doctored != text
    path.write_text(doctored)
    again = begin(sweep, results)
    output = again.communicate(timeout=240)[0]
    if kind == "edited":
        assert again.returncode == 0, output
        assert "was changed after it was written" in output
        assert len(starts(output)) == 1
        assert (results / "quarantine" / f"{path.parent.name}-1" / "record.json").read_text() == doctored
    else:
        assert again.returncode != 0
        assert "update the project" in output
        assert not starts(output)
        assert path.read_text() == doctored
    assert not children()
