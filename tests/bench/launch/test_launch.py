"""Launching: every trial leaves a record, whatever becomes of its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest

from bench.launch.executor import Where
from bench.launch.local.local_executor import LocalExecutor, threads_per_worker
from bench.launch.scheduler import run_trials
from bench.plan.trial import Trial, build_trial
from bench.records.record import Record
from bench.records.store import Store
from bench.train.progress import Progress

ROOT = Path(__file__).resolve().parents[3]
LONG = {"steps": 1_000_000, "batch_size": 8, "evaluate_every": 1_000_000, "evaluation_sequences": 8}
SHORT = {"steps": 3, "batch_size": 8, "evaluate_every": 2, "evaluation_sequences": 16}


def trial(**changes: Any) -> Trial:
    content = {"task": "adding", "cell": "lstm", "units": 4, "framework": "pytorch", "options": {"length": 5}}
    return build_trial({**content, "protocol": SHORT, **changes}, where="test")


class Watcher:
    """A display that keeps what it is told, and acts on a trial's first sign of life."""

    def __init__(self, act: Callable[[Trial], None] | None = None) -> None:
        self.events: list[tuple[str, str]] = []
        self.records: dict[str, Record] = {}
        self.places: dict[str, Where] = {}
        self.reasons: list[str] = []
        self._act = act

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def started(self, trial: Trial) -> None:
        self.events.append(("started", trial.id))

    def placed(self, trial: Trial, where: Where) -> None:
        self.places[trial.id] = where

    def put_back(self, trial: Trial, why: str) -> None:
        self.events.append(("put back", trial.id))
        self.reasons.append(why)

    def progressed(self, trial: Trial, progress: Progress) -> None:
        first = ("progressed", trial.id) not in self.events
        self.events.append(("progressed", trial.id))
        if first and self._act is not None:
            self._act(trial)

    def finished(self, trial: Trial, record: Record) -> None:
        self.events.append(("finished", trial.id))
        self.records[trial.id] = record

    def shared(self, trial: Trial, record: Record) -> None:
        self.events.append(("shared", trial.id))
        self.records[trial.id] = record

    def stopping(self, trials: int) -> None:
        self.events.append(("stopping", str(trials)))

    def disk_is_slow(self, said: str) -> None:
        self.reasons.append(said)


def servers(parent: int | None = None) -> list[psutil.Process]:
    """The processes that fork trials."""
    return [child for child in psutil.Process(parent).children() if "spawn_main" in str(child.cmdline())]


def children(parent: int | None = None) -> list[psutil.Process]:
    """The processes of trials."""
    found: list[psutil.Process] = []
    for server in servers(parent):
        with suppress(psutil.NoSuchProcess):
            found += server.children()
    return found


def run(
    trials: list[Trial], store: Store, watcher: Watcher, *, workers: int = 1, command: str = "", **limits: float
) -> None:
    executor = LocalExecutor(workers=workers, data=Path("data"), **limits)
    run_trials(trials, executor=executor, store=store, display=watcher, command=command)


def test_bad_trials_leave_records_and_the_rest_goes_on(tmp_path: Path) -> None:
    """What is the machine's, such as its memory, is tried again; what is the trial's own is not."""
    store = Store(tmp_path)
    too_large = trial(units=2_000_000)
    diverging = trial(protocol={**SHORT, "steps": 50, "learning_rate": 1e38, "clip_norm": 0})
    good = trial()
    watcher = Watcher()
    executor = LocalExecutor(workers=1, data=Path("data"))
    run_trials([too_large, diverging, good], executor=executor, store=store, display=watcher, retries=1)

    failed = store.read(too_large.id)
    assert failed is not None
    assert failed.status == "failed"
    assert "Unable to allocate" in failed.error
    assert "Traceback" in failed.traceback
    assert [attempt.how for attempt in failed.attempts] == ["out_of_memory", "out_of_memory"]

    diverged = store.read(diverging.id)
    assert diverged is not None
    assert diverged.status == "diverged"
    assert "the training loss became" in diverged.error
    assert [attempt.how for attempt in diverged.attempts] == ["diverged"]
    assert diverged.steps is not None
    assert diverged.steps < 50

    ok = store.read(good.id)
    assert ok is not None
    assert ok.status == "ok"
    assert watcher.events[-1] == ("finished", too_large.id), "behind the others"
    assert store.missing([too_large, diverging, good]) == [too_large]


@pytest.mark.usefixtures("endless")
def test_a_killed_child_is_recorded_and_run_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    victim = trial(protocol=LONG)

    def kill(_: Trial) -> None:
        for child in children():
            child.send_signal(signal.SIGKILL)

    run([victim], store, Watcher(kill))
    record = store.read(victim.id)
    assert record is not None
    assert record.status == "failed"
    assert "killed by SIGKILL (signal 9)" in record.error
    assert store.missing([victim]) == [victim]


def test_a_trial_over_its_time_is_stopped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    slow = trial(protocol=LONG)
    run([slow], store, Watcher(), timeout_seconds=1.5)
    record = store.read(slow.id)
    assert record is not None
    assert record.status == "timeout"
    assert record.error == "stopped after 1.5 seconds, the limit"
    assert not servers(), "nor what would have forked it"


@pytest.mark.usefixtures("learns_nothing")
def test_an_interrupt_stops_the_children_and_keeps_what_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    done, endless = trial(), trial(protocol=LONG)

    def interrupt(running: Trial) -> None:
        if running.id == endless.id:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([done, endless], store, Watcher(interrupt))
    assert not servers()
    assert list(store.survey().records) == [done.id]
    assert store.missing([done, endless]) == [endless]


def test_a_child_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    sweep = tmp_path / "endless.toml"
    sweep.write_text(
        '[[grid]]\ntask = "adding"\ncell = "lstm"\nunits = 4\nframework = "pytorch"\n'
        f"[grid.protocol]\nsteps = {LONG['steps']}\nbatch_size = 8\nevaluate_every = 1000000\n"
    )
    command = [sys.executable, "-m", "bench", "run", str(sweep), "--results", str(tmp_path / "results")]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        child = wait_for(lambda: trial_process(parent.pid), seconds=60)
        (server,) = servers(parent.pid)
        os.kill(parent.pid, signal.SIGKILL)
        for left in (child, server):
            wait_for(lambda left=left: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, seconds=60)
    finally:
        parent.kill()
        parent.communicate()


def trial_process(parent: int) -> psutil.Process | None:
    found = children(parent)
    return found[0] if found else None


def wait_for(condition: Callable[[], Any], *, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds} seconds")


def test_cores_are_divided_among_workers() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_per_worker(1) == cores
    assert threads_per_worker(10 * cores) == 1


def test_what_a_trial_leaves(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = trial()
    watcher = Watcher()
    an_hour = {"timeout_seconds": 3600.0, "stall_seconds": 3600.0}  # more than it takes
    run([made], store, watcher, command="python run_all.py mine.toml", **an_hour)
    names = {path.name for path in store.folder_of(made.id).iterdir()}
    assert names == {
        "record.json",
        "curve.csv",
        "steps.npz",
        "gates.npz",
        "best.npz",
        "final.npz",
        "log.txt",
        "tensorboard",
    }
    assert ("progressed", made.id) in watcher.events
    record = store.read(made.id)
    assert record is not None
    assert (record.implementation, record.threads) == ("kernels", threads_per_worker(1))
    assert (record.command, record.workers) == ("python run_all.py mine.toml", 1)
    assert record.processor_load is not None
    assert record.processor_load >= 0
    assert record.data_fingerprint == "", "adding generates its data"
    assert "threads" in record.environment["blas"]
