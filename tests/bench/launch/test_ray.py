"""A Ray cluster's trials come to the records of this machine's, whatever becomes of nodes and of who sent them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.errors import ClusterError
from bench.launch.cluster.ray_connection import connected
from bench.launch.cluster.ray_executor import Needs, RayExecutor
from bench.launch.executor import Where
from bench.launch.scheduler import run_trials
from bench.machine.scratch import scratch_root
from bench.plan.trial import Trial
from bench.records.record import Record
from bench.records.running.attempt import attempts
from bench.records.running.leases import leased_trials
from bench.records.store import Store
from bench.records.upkeep.verify import findings
from bench.train.progress import Progress
from tests.bench.launch.test_endings import SWEEP, checkpoints, trial
from tests.bench.launch.test_launch import ROOT, Watcher, run, wait_for
from tests.bench.launch.test_retries import hows
from tests.bench.train.test_resumption import left, numbers

OBJECTS = 80 * 2**20


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that runs nothing, to which tests add nodes."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="the extra 'cluster' is not installed")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # beside other load a trial would hardly run
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
    place = tempfile.mkdtemp(prefix="ray-")  # short, since sockets stand in it
    monkeypatch.setenv("RAY_TMPDIR", place)  # where it notes which cluster is this machine's: not a user's own
    folder = Path(place) / "ray"
    folder.mkdir()
    head = {
        "temp_dir": str(folder),
        "num_cpus": 0,
        "object_store_memory": OBJECTS,
        "include_dashboard": False,
        "_system_config": quick,
    }
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        yield made
    finally:
        made.shutdown()
        shutil.rmtree(place)


def add_node(cluster: Any) -> Any:
    """One for a trial at a time."""
    return cluster.add_node(num_cpus=1, object_store_memory=OBJECTS)


def run_on(cluster: Any, trials: list[Trial], store: Store, watcher: Watcher, *, retries: int = 0) -> None:
    executor = RayExecutor(address=cluster.address, devices=["cpu"], needs=Needs(), data=Path("data"))
    run_trials(trials, executor=executor, store=store, display=watcher, retries=retries)


def commands(folder: Path) -> list[psutil.Process]:
    """The trials' commands in a results folder that run on this machine."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if "trial" in words and any(word.startswith(str(folder)) for word in words):
            found.append(process)
    return found


def bits(record: Record) -> dict[str, Any]:
    """What must be the same bit for bit, wherever a trial runs."""
    return {key: value for key, value in numbers(record).items() if key not in ("workers", "environment")}


def assert_nothing_is_left(results: Path) -> None:
    assert not commands(results)
    assert not leased_trials(results)
    assert not attempts(results)
    assert findings(results) == []
    assert not scratch_root().is_dir() or not list(scratch_root().iterdir())


@pytest.mark.filterwarnings("default")  # Ray's own
@pytest.mark.parametrize(
    "carried", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["a shared disk", "no shared disk"]
)
def test_its_records_are_those_of_this_machine(
    carried: bool, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if carried:  # what a node knows the folder by is not there
        monkeypatch.setattr("bench.launch.cluster.ray_executor.write_trial", lambda folder, trial: None)
    add_node(cluster)
    made, here, there, watcher = trial(steps=7), Store(tmp_path / "here"), Store(tmp_path / "there"), Watcher()
    run_on(cluster, [made], there, watcher)
    run([made], here, Watcher(), workers=os.cpu_count() or 1)
    one, other = here.read(made.id), there.read(made.id)
    assert one is not None
    assert other is not None
    assert other.status == "ok", other.error
    assert bits(one) == bits(other)
    assert left(here.folder_of(made.id)) == left(there.folder_of(made.id))
    names = [{path.name for path in store.folder_of(made.id).iterdir()} for store in (here, there)]
    assert names[0] == names[1]
    assert [event for event, _ in watcher.events if event != "progressed"] == ["started", "finished"]
    assert ("progressed", made.id) in watcher.events
    (attempt,) = other.attempts
    assert watcher.places == {made.id: Where(node=os.uname().nodename, device="cpu")}
    assert (attempt.node, attempt.device, attempt.how) == (os.uname().nodename, "cpu", "ok")
    assert_nothing_is_left(tmp_path / "there")


class AtCheckpoint(Watcher):
    """Acts once, when the trial has something to go on from."""

    def __init__(self, results: Path, act_on: Callable[[Trial], None]) -> None:
        super().__init__()
        self._results = results
        self._act_on: Callable[[Trial], None] | None = act_on

    def progressed(self, trial: Trial, progress: Progress) -> None:
        super().progressed(trial, progress)
        if self._act_on is not None and checkpoints(self._results):
            act, self._act_on = self._act_on, None
            act(trial)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_trial_goes_on_elsewhere_when_its_node_is_lost(cluster: Any, tmp_path: Path) -> None:
    first = add_node(cluster)

    def lose(running: Trial) -> None:
        (process,) = commands(tmp_path)
        process.suspend()  # so that it does not finish before its node is gone, which takes it along
        add_node(cluster)
        cluster.remove_node(first, allow_graceful=False)

    store, made = Store(tmp_path), trial(steps=2000)
    watcher = AtCheckpoint(tmp_path, lose)
    run_on(cluster, [made], store, watcher, retries=1)
    record = store.read(made.id)
    assert record is not None
    assert record.status == "ok", record.error
    assert hows(record) == ["lost", "ok"]
    assert "was lost: " in record.attempts[0].error
    assert len(record.stretches) == 2, "it went on from its checkpoint"
    assert watcher.reasons == [f"{record.attempts[0].error}; it is tried again (1 of 1)"]
    wait_for(lambda: not commands(tmp_path), seconds=120)
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_trial_that_is_stopped_keeps_what_it_goes_on_from(cluster: Any, tmp_path: Path) -> None:
    add_node(cluster)

    def interrupt(running: Trial) -> None:
        raise KeyboardInterrupt

    made = trial()
    with pytest.raises(KeyboardInterrupt):
        run_on(cluster, [made], Store(tmp_path), AtCheckpoint(tmp_path, interrupt))
    assert not commands(tmp_path)
    assert not leased_trials(tmp_path)
    assert checkpoints(tmp_path)
    assert Store(tmp_path).trial_ids() == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_run_that_was_killed_and_started_again_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    add_node(cluster)
    sweep, results = tmp_path / "mine.toml", tmp_path / "results"
    sweep.write_text(SWEEP.replace("steps = 1000000", "steps = 2000"))
    words = [sys.executable, "run_all.py", str(sweep), "--results", str(results), "--no-report"]
    words += ["--executor", "ray", "--address", cluster.address]
    first = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: checkpoints(results), seconds=240)
        (process,) = commands(results)
        process.suspend()  # so that it does not end before the second run is there
    finally:
        first.kill()
        first.wait()
    try:
        second = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    finally:
        with suppress(psutil.NoSuchProcess):  # Ray ended it with the first run
            process.resume()
    assert second.returncode == 0, second.stdout + second.stderr
    wait_for(lambda: not commands(results), seconds=120)
    ((_, record),) = Store(results).survey().records.items()
    assert hows(record) == ["lost", "ok"]
    assert len(record.stretches) == 2
    assert_nothing_is_left(results)


def test_where_there_is_no_cluster_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match=r"name the cluster's own address, HOST:PORT, on a machine that is in it"):
        connected("ray://127.0.0.1:10001")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"needs the package 'ray': install it with "):
        connected(None)


@pytest.mark.parametrize(
    ("needs", "device", "count"),
    [
        (Needs(), "cpu", 8),
        (Needs(cpus=3), "cpu", 2),
        (Needs(), "cuda", 2),
        (Needs(gpus=0.3), "cuda", 6),
        (Needs(gpus=0.1), "cuda", 8),
        (Needs(gpus=3), "cuda", 0),
        (Needs(memory_bytes=300), "cpu", 3),
    ],
)
def test_a_node_has_room_for_so_many_trials(needs: Needs, device: str, count: int) -> None:
    assert needs.fit({"CPU": 8.0, "GPU": 2.0, "memory": 1000.0}, device=device) == count


def test_gpus_are_a_part_of_one_or_whole() -> None:
    with pytest.raises(ClusterError, match=r"--gpus-per-trial 1.5: a part of one GPU, or whole ones"):
        Needs(gpus=1.5)
