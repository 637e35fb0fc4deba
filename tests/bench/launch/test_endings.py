"""Trials that are ended early: by a stall, a full disk, Ctrl-C; what they leave, and that the rest is not harmed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.errors import DiskError
from bench.launch.executor import Ended
from bench.launch.local.trial_process import how_it_ended
from bench.launch.process.heard import Heard
from bench.launch.scheduler import Running
from bench.launch.waiting import Waiting
from bench.machine.processes import processor_seconds
from bench.plan.trial import Trial, build_trial
from bench.records.record import Record
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import leased_trials, take_lease
from bench.records.store import Store
from bench.records.upkeep.verify import findings
from bench.tasks.adding import Adding
from bench.train.progress import Life, Progress
from tests.bench.disks import SmallDisk
from tests.bench.launch.attending import Attended, Attending
from tests.bench.launch.test_launch import ROOT, Watcher, children, run, servers, trial_process, wait_for
from tests.bench.records.test_records import record as stored_record

ENDLESS = 1_000_000


def trial(steps: int = ENDLESS, **changes: Any) -> Trial:
    content: dict[str, Any] = {"task": "adding", "cell": "skip_lstm", "units": 3, "options": {"length": 4}}
    protocol = {"steps": steps, "batch_size": 4, "evaluate_every": 5, "evaluation_sequences": 8}
    return build_trial(content | {"framework": "pytorch", "protocol": protocol} | changes, where="test")


def checkpoints(results: Path) -> list[Path]:
    return sorted(results.glob("*/*/checkpoint-*.npz"))


def send_all(number: signal.Signals, processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it was hit before, and ended meanwhile
            process.send_signal(number)


def left_so_far(record: Record, store: Store) -> None:
    """What every trial leaves that was ended after its first checkpoint."""
    folder = store.folder_of(record.trial_id)
    assert (folder / "curve.csv").read_text().count("\n") > 1
    assert set(record.files) == {"curve.csv", "best.npz"}
    assert record.steps
    assert record.stretches[-1].end_step == record.steps
    assert record.total_seconds == sum(stretch.seconds for stretch in record.stretches) > 0
    assert record.train_seconds
    assert record.evaluate_seconds
    assert record.best_step
    assert record.environment["python"]
    assert findings(store.results) == []


@pytest.mark.parametrize("when", ["while its server imports", pytest.param("while it trains", marks=pytest.mark.slow)])
def test_a_trial_that_shows_no_life_is_ended_and_recorded(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.launch.local.trial_process.GRACE_SECONDS", 0.2)  # who is suspended does not end in order
    store, made = Store(tmp_path), trial()

    class Stopping(Watcher):
        def started(self, trial: Trial) -> None:
            super().started(trial)
            if when == "while its server imports":
                send_all(signal.SIGSTOP, servers())

        def progressed(self, trial: Trial, progress: Progress) -> None:
            super().progressed(trial, progress)
            if checkpoints(tmp_path):
                send_all(signal.SIGSTOP, children())

    run([made], store, Stopping(), stall_seconds=2.0)
    record = store.read(made.id)
    assert record is not None
    assert record.status == "failed"
    if when == "while its server imports":
        assert record.error == "stalled: no sign of life for 2 seconds, before its first step ended; it was stopped"
        assert (record.stretches, record.steps) == ((), None)
    else:
        assert record.error.startswith("stalled: no sign of life for 2 seconds, after step ")
        left_so_far(record, store)
    assert not servers()


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_process_that_computes_lives_where_it_said_so() -> None:
    clock, own = Clock(), os.getpid()
    heard = Heard(clock=clock)
    heard.hear(Life(computing=True), process_id=own)
    until = processor_seconds(own) + 0.05
    while processor_seconds(own) < until:  # as a compilation does
        pass
    clock.seconds = 1.0
    assert not heard.stalled(1.0, process_id=own)
    assert heard.silent_until(1.0) == 2.0
    clock.seconds = 2.5
    assert heard.stalled(1.0, process_id=own), "it computed no more"


def test_a_process_lives_that_was_just_forked() -> None:
    """Until then its server was watched, whose time is not its own."""
    clock, server, forked = Clock(), os.getpid(), ended()
    heard = Heard(clock=clock)
    clock.seconds = 1.0
    assert not heard.stalled(1.0, process_id=server)
    clock.seconds = 2.0
    assert not heard.stalled(1.0, process_id=forked)
    clock.seconds = 3.0
    assert heard.stalled(1.0, process_id=forked), "but it has to compute then"


def test_a_process_that_trains_has_to_tell() -> None:
    clock, own = Clock(), os.getpid()
    heard = Heard(clock=clock)
    heard.hear(Life(computing=False), process_id=own)
    clock.seconds = 0.9
    assert not heard.stalled(1.0, process_id=own)
    heard.hear(Progress(step=7, steps=9), process_id=own)
    clock.seconds = 1.8
    assert not heard.stalled(1.0, process_id=own)
    until = processor_seconds(own) + 0.05
    while processor_seconds(own) < until:
        pass
    clock.seconds = 1.9
    assert heard.stalled(1.0, process_id=own), "also where it turns in circles"
    assert heard.step == 7


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_trial_that_compiles_and_evaluates_is_no_stall(tmp_path: Path) -> None:
    """Imports and compilation take longer than it may be silent."""
    store, made = Store(tmp_path), trial(steps=5)
    run([made], store, Watcher(), stall_seconds=0.5)
    record = store.read(made.id)
    assert record is not None
    assert record.status == "ok", record.error
    assert record.total_seconds is not None
    assert record.import_seconds is not None
    assert record.import_seconds + record.total_seconds > 0.5


def test_a_killed_trial_leaves_what_it_had(tmp_path: Path) -> None:
    store, made = Store(tmp_path), trial()

    class Killing(Watcher):
        def progressed(self, trial: Trial, progress: Progress) -> None:
            super().progressed(trial, progress)
            if checkpoints(tmp_path):
                send_all(signal.SIGKILL, children())

    run([made], store, Killing())
    record = store.read(made.id)
    assert record is not None
    assert "SIGKILL" in record.error
    left_so_far(record, store)


@pytest.mark.parametrize(
    ("number", "how", "name"),
    [
        (signal.SIGTERM, "killed", "SIGTERM (signal 15)"),
        (signal.SIGSEGV, "failed", "SIGSEGV (signal 11)"),
        (40, "failed", "signal 40"),  # for real time: it has no name
    ],
)
def test_a_trial_that_a_signal_killed_is_told_so_by_its_name_or_number(number: int, how: str, name: str) -> None:
    assert how_it_ended(-number) == (how, f"the trial's process was killed by {name}")


class Filling(Watcher):
    """Fills the disk once the first trial that tells something has something to go on from."""

    def __init__(self, disk: SmallDisk) -> None:
        super().__init__()
        self._disk = disk
        self.first = ""

    def progressed(self, trial: Trial, progress: Progress) -> None:
        super().progressed(trial, progress)
        if not self.first:
            self.first = trial.id
            wait_for(lambda: list(self._disk.place.glob(f"running/{trial.id}-*/checkpoint-*.npz")), seconds=60)
            self._disk.fill()


def test_a_full_disk_is_no_failure_of_a_trial_and_the_same_again_goes_on(small_disk: SmallDisk) -> None:
    store = Store(small_disk.place)
    done, others = trial(seed=9), [trial(steps=60, seed=seed) for seed in range(2)]
    store.write(stored_record(done, quality=0.25))
    filling = Filling(small_disk)
    with pytest.raises(DiskError, match=r"the disk is full") as raised:
        run(others, store, filling, workers=2)
    assert len(str(raised.value).splitlines()) == 1
    assert not children()
    assert store.trial_ids() == [done.id], "no failure is recorded"
    assert store.missing([done]) == []
    assert attempts(small_disk.place, filling.first), "it goes on from its last checkpoint"
    assert not leased_trials(small_disk.place)
    assert not [path for path in small_disk.place.rglob(".*") if path.is_file()], "nothing half written stays"
    small_disk.empty()
    run(others, store, Watcher(), workers=2)
    records = store.survey().records
    assert {records[made.id].status for made in others} == {"ok"}
    assert len(records[filling.first].stretches) == 2
    assert findings(small_disk.place) == []


@pytest.mark.usefixtures("endless")
def test_a_results_folder_that_vanishes_is_one_line(tmp_path: Path) -> None:
    results = tmp_path / "results"

    def remove(_: Trial) -> None:
        results.rename(tmp_path / "moved")

    with pytest.raises(DiskError, match=r"results: the folder is gone|its folder is gone|running trial is gone"):
        run([trial()], Store(results), Watcher(remove))
    assert not children()
    assert not results.exists(), "it is not made anew"
    shutil.rmtree(tmp_path / "moved")


def test_a_trial_whose_folder_is_gone_when_its_command_has_ended_is_one_line(tmp_path: Path) -> None:
    made, store = trial(), Store(tmp_path)
    lease = take_lease(tmp_path, made.id)
    assert lease is not None
    attempt = Attempt(tmp_path, lease=lease)
    attempt.start()
    shutil.rmtree(tmp_path / "running")
    waiting = Waiting([], store=store, before={}, command="", workers=1)
    running = Running(Attending(tmp_path), waiting=waiting, store=store, display=Watcher())
    handle = Attended(trial=made, attempt=attempt)
    with pytest.raises(DiskError, match=f"^{attempt.running}: the folder of a running trial is gone; run again$"):
        running._end(Ended(handle=handle, status="failed", how="failed", error="exit code 1", conditions=None))


def test_a_trial_whose_task_cannot_be_asked_leaves_a_record_and_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, store = trial(), Store(tmp_path)
    lease = take_lease(tmp_path, made.id)
    assert lease is not None
    attempt = Attempt(tmp_path, lease=lease)
    attempt.start()
    waiting = Waiting([], store=store, before={}, command="", workers=1)
    running = Running(Attending(tmp_path), waiting=waiting, store=store, display=Watcher())
    monkeypatch.setattr(Adding, "length", property(lambda self: 1 / 0))
    handle = Attended(trial=made, attempt=attempt)
    running._end(Ended(handle=handle, status="failed", how="failed", error="exit code 1", conditions=None))
    record = store.read(made.id)
    assert record is not None
    assert (record.status, record.error, record.length) == ("failed", "exit code 1", 0)


SWEEP = f"""
[[grid]]
task = "adding"
cell = "skip_lstm"
units = 3
framework = "pytorch"
options.length = 4
protocol = {{ steps = {ENDLESS}, batch_size = 4, evaluate_every = 5, evaluation_sequences = 8 }}
"""


def begin(tmp_path: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A run of one endless trial, and its child once that has written a checkpoint."""
    (tmp_path / "endless.toml").write_text(SWEEP)
    command = [sys.executable, "run_all.py", str(tmp_path / "endless.toml"), "--results", str(tmp_path / "results")]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(lambda: checkpoints(tmp_path / "results"), seconds=120)
        child = trial_process(parent.pid)
    except BaseException:
        parent.kill()
        raise
    assert child is not None
    return parent, child


@pytest.mark.usefixtures("endless")
def test_ctrl_c_twice_ends_at_once(tmp_path: Path) -> None:
    parent, child = begin(tmp_path)
    try:
        child.suspend()  # so that it does not end when it is asked to
        parent.send_signal(signal.SIGINT)
        assert parent.stdout is not None
        said = next(line for line in iter(parent.stdout.readline, "") if line.startswith("stopping"))
        assert said == ("stopping 1 running trial, which keeps what it can go on from; Ctrl-C again ends at once\n")
        began = time.monotonic()
        parent.send_signal(signal.SIGINT)
        rest = parent.communicate(timeout=60)[0]
        assert time.monotonic() - began < 4.0, "sooner than a child is given to end by itself"
    finally:
        parent.kill()
        parent.communicate()
    assert parent.returncode == 130, rest
    assert rest.startswith("interrupted; finished trials are kept, the same command runs the rest\n")
    assert "Traceback" not in rest
    assert not child.is_running()
    assert not leased_trials(tmp_path / "results"), "the lease is given back"
    assert len(attempts(tmp_path / "results")) == 1
    assert checkpoints(tmp_path / "results")


def test_ctrl_c_once_stops_in_order(tmp_path: Path) -> None:
    parent, child = begin(tmp_path)
    try:
        parent.send_signal(signal.SIGINT)
        output = parent.communicate(timeout=60)[0]
    finally:
        parent.kill()
        parent.communicate()
    assert parent.returncode == 130, output
    assert "Traceback" not in output
    assert not child.is_running()
    (folder,) = attempts(tmp_path / "results")
    assert {"curve.csv", "best.npz", "log.txt"} <= {path.name for path in folder.iterdir()}
    assert checkpoints(tmp_path / "results")
    assert not [path for path in folder.rglob(".*") if path.is_file()]
    assert not leased_trials(tmp_path / "results")


def test_a_terminals_ctrl_c_while_a_server_starts_ends_in_order(tmp_path: Path) -> None:
    """It reaches every process of the terminal, also one that has just begun."""
    (tmp_path / "endless.toml").write_text(SWEEP)
    command = [sys.executable, "run_all.py", str(tmp_path / "endless.toml"), "--results", str(tmp_path / "results")]
    parent = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        wait_for(lambda: servers(parent.pid), seconds=60)
        os.killpg(parent.pid, signal.SIGINT)
        output = parent.communicate(timeout=60)[0]
    finally:
        parent.kill()
        parent.communicate()
    assert parent.returncode == 130, output
    assert "Traceback" not in output
    assert not leased_trials(tmp_path / "results")
    assert not attempts(tmp_path / "results"), "nothing is left to go on from"
