"""What a Ray cluster tells becomes the scheduler's events; the cluster itself is made up here."""

from __future__ import annotations

import errno
import multiprocessing
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import ClusterError
from bench.launch.cluster import ray_connection, ray_executor
from bench.launch.cluster.carried import Files, write_files
from bench.launch.cluster.node import Here, Home, Over, Trouble, Unfit
from bench.launch.cluster.ray_executor import Needs, Placed, RayExecutor
from bench.launch.executor import Began, Ended, Event, Refused, Slot, Told, Where
from bench.launch.scheduler import run_trials
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import leased_trials, take_lease
from bench.records.running.lone_folder import LoneFolder
from bench.records.store import Store
from bench.train.progress import Progress
from tests.bench.launch.test_late_runs import taken_over
from tests.bench.launch.test_launch import Watcher, trial
from tests.bench.records.test_records import record

exceptions = pytest.importorskip("ray.exceptions", reason="the extra 'cluster' is not installed")
WHERE = Where(node="node1", device="cpu")
OVER = Over(status="failed", how="failed", error="no record", conditions={"threads": "1"})


class Reference:
    """To something that a task has told, and that may still be on its way."""

    def __init__(self, content: Any) -> None:
        self.content = content
        self.here = True


class Stream:
    """What is told of a task."""

    def __init__(self, news: Sequence[Any]) -> None:
        self.news = deque(Reference(each) for each in news)
        self.ended = False

    @property
    def here(self) -> bool:
        return bool(self.news) or self.ended

    def __next__(self) -> Any:
        if not self.news:
            raise StopIteration
        return self.news.popleft()


class Ray:
    """A cluster of such nodes, whose tasks tell what they are told to."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.exceptions = exceptions
        self.alive = list(nodes)
        self.dead = ["dead"]
        self.head = socket.create_server(("127.0.0.1", 0))
        self.told: list[Any] = []
        self.asked: dict[str, Any] = {}
        self.order: Any = None
        self.cancelled: list[bool] = []
        self.obeys = True
        self.closed = False

    def nodes(self) -> list[dict[str, Any]]:
        alive = [{"Alive": True, "Resources": resources, "NodeID": "alive"} for resources in self.alive]
        return [{"Alive": False, "Resources": {"CPU": 99.0}, "NodeID": node_id} for node_id in self.dead] + alive

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=f"127.0.0.1:{self.head.getsockname()[1]}")

    def remote(self, **options: Any) -> Any:
        assert options["max_retries"] == 0, "the scheduler counts the attempts"
        return lambda function: SimpleNamespace(options=self._with)

    def _with(self, **asked: Any) -> Any:
        self.asked = asked
        return SimpleNamespace(remote=self._begin)

    def _begin(self, order: Any) -> Stream:
        self.order = order
        return Stream(self.told)

    def wait(self, things: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return [thing for thing in things if thing.here], []

    def get(self, reference: Reference) -> Any:
        assert reference.here, "it would wait for it"
        if isinstance(reference.content, Exception):
            raise reference.content
        return reference.content

    def cancel(self, stream: Stream, *, force: bool) -> None:
        self.cancelled.append(force)
        if self.obeys:
            stream.news.append(Reference(exceptions.TaskCancelledError()))

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    made = Ray({"CPU": 2.0})
    monkeypatch.setattr(ray_executor, "connected", lambda address: made)
    monkeypatch.setattr(ray_executor, "LOOK_SECONDS", 0.01)
    with made.head:
        yield made


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    lease = take_lease(tmp_path / "results", trial().id)
    assert lease is not None
    made = Attempt(tmp_path / "results", lease=lease)
    made.start()
    made.begin(node="", device="cpu")
    yield made
    made.end()


def executor(**changes: Any) -> RayExecutor:
    told: dict[str, Any] = {"address": None, "devices": ["cpu"], "needs": Needs(), "data": Path("data")}
    return RayExecutor(**told | changes)


def events(ray: Ray, attempt: Attempt, *news: Any) -> list[Event]:
    """Of a trial that tells so."""
    ray.told = list(news)
    made = executor()
    made.start(trial(), attempt, made.slots[0])
    reader, _writer = multiprocessing.Pipe(duplex=False)
    return list(made.events(seconds=5.0, wake=reader))


def test_a_trial_begins_tells_and_ends(ray: Ray, attempt: Attempt) -> None:
    told = events(ray, attempt, Here(WHERE), Progress(step=1, steps=3), Home({"curve.csv": b"step"}), OVER)
    began, progressed, ended = told
    assert isinstance(began, Began)
    assert began.where == WHERE
    assert isinstance(progressed, Told)
    assert isinstance(ended, Ended)
    assert (ended.status, ended.how, ended.error, ended.conditions) == (
        "failed",
        "failed",
        "no record",
        {"threads": "1"},
    )
    assert (attempt.running / "curve.csv").read_bytes() == b"step"
    assert (attempt.running / "trial.json").is_file(), "by which a node knows the folder"
    assert set(ray.order.files) == {"attempts.json"}
    assert ray.order.data.is_absolute()


@pytest.mark.parametrize(
    ("error", "how", "said"),
    [
        (exceptions.NodeDiedError("Task failed. And much more"), "lost", "its node (node1) was lost: Task failed"),
        (exceptions.WorkerCrashedError(), "killed", "the process on its node (node1) that ran it was killed"),
        (exceptions.OutOfMemoryError("Too much."), "out_of_memory", "its node (node1) ran out of memory: Too much."),
        (exceptions.TaskCancelledError(), "killed", "its task was cancelled on the cluster (node1)"),
    ],
)
def test_what_the_machine_is_to_blame_for_is_told_so(
    error: Exception, how: str, said: str, ray: Ray, attempt: Attempt
) -> None:
    _, ended = events(ray, attempt, Here(WHERE), error)
    assert isinstance(ended, Ended)
    assert (ended.status, ended.how, ended.error) == ("failed", how, said)


def test_a_trial_whose_node_is_heard_of_no_more_is_lost_though_nothing_tells_of_its_end(
    ray: Ray, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "NODES_SECONDS", 0.0)
    ray.told = [Placed("frozen"), Here(WHERE)]
    made = executor()
    handle = made.start(trial(), attempt, made.slots[0])
    reader, _writer = multiprocessing.Pipe(duplex=False)
    (began,) = made.events(seconds=60.0, wake=reader)
    assert isinstance(began, Began)
    assert made.events(seconds=0.0, wake=reader) == [], "it may take its time"
    ray.dead.append("frozen")
    (ended,) = made.events(seconds=60.0, wake=reader)
    assert isinstance(ended, Ended)
    assert (ended.handle, ended.how) == (handle, "lost")
    assert ended.error == "its node (node1) was lost: the cluster hears no more of it"
    assert made.events(seconds=0.0, wake=reader) == [], "once"


@pytest.mark.parametrize("room", [True, False])
def test_a_trial_that_may_have_been_sent_to_a_lost_node_does_not_wait_for_it(
    room: bool, ray: Ray, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray waits for minutes for a node that stands still to take a task; without room a trial has to wait."""
    monkeypatch.setattr(ray_executor, "NODES_SECONDS", 0.0)
    monkeypatch.setattr(ray_executor, "BEGIN_SECONDS", 0.2)
    made = executor()
    handle = made.start(trial(), attempt, made.slots[0])
    reader, _writer = multiprocessing.Pipe(duplex=False)
    assert made.events(seconds=0.5, wake=reader) == [], "no node was lost"
    ray.dead.append("frozen")
    if not room:
        ray.alive.clear()
        assert made.events(seconds=0.5, wake=reader) == [], "there is no room for it"
        ray.alive.append({"CPU": 1.0})
    assert made.events(seconds=0.1, wake=reader) == [], "it is given time"
    (ended,) = made.events(seconds=60.0, wake=reader)
    assert isinstance(ended, Ended)
    assert (ended.handle, ended.how) == (handle, "lost")
    assert ended.error.startswith("it had not begun ")
    assert ray.cancelled == [True]
    assert made.events(seconds=0.5, wake=reader) == [], "once"


def test_a_trial_that_begins_after_a_node_was_lost_goes_on(
    ray: Ray, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "NODES_SECONDS", 0.0)
    monkeypatch.setattr(ray_executor, "BEGIN_SECONDS", 0.2)
    made = executor()
    handle = made.start(trial(), attempt, made.slots[0])
    reader, _writer = multiprocessing.Pipe(duplex=False)
    ray.dead.append("frozen")
    assert made.events(seconds=0.0, wake=reader) == []
    handle.told.news.extend([Reference(Placed("alive")), Reference(Here(WHERE))])
    (began,) = made.events(seconds=60.0, wake=reader)
    assert isinstance(began, Began)
    assert made.events(seconds=0.5, wake=reader) == []
    assert not ray.cancelled


def test_what_is_still_on_its_way_from_a_node_keeps_nothing_waiting(ray: Ray, attempt: Attempt) -> None:
    ray.told = [Here(WHERE), Home({"curve.csv": b"step"}), Progress(step=1, steps=3)]
    made = executor()
    handle = made.start(trial(), attempt, made.slots[0])
    home = handle.told.news[1]
    home.here = False
    reader, _writer = multiprocessing.Pipe(duplex=False)
    assert [type(event) for event in made.events(seconds=0.0, wake=reader)] == [Began]
    assert made.events(seconds=0.0, wake=reader) == []
    home.here = True
    assert [type(event) for event in made.events(seconds=0.0, wake=reader)] == [Told], (
        "in the order in which it was told"
    )
    assert (attempt.running / "curve.csv").read_bytes() == b"step"


def test_what_comes_home_while_another_run_takes_the_trial_over_is_left(
    ray: Ray, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Attempt(attempt.results, lease=taken_over(attempt.lease))

    def late(folder: Path, files: Files) -> None:
        other.start()
        write_files(folder, files)

    monkeypatch.setattr(ray_executor, "write_files", late)
    assert events(ray, attempt, Home({"curve.csv": b"step"}), Progress(step=1, steps=3))
    assert attempts(attempt.results) == [other.running]
    assert not list(other.running.iterdir())
    other.end()


def test_a_cluster_whose_head_answers_no_more_ends_the_run(
    ray: Ray, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_connection, "HEAD_SECONDS", 0.3)
    made = executor()
    made.start(trial(), attempt, made.slots[0])
    made._nodes_due = 0.0
    ray.head.close()
    monkeypatch.setattr(ray, "nodes", None)  # which would wait for the head
    reader, _writer = multiprocessing.Pipe(duplex=False)
    assert made.events(seconds=0.0, wake=reader) == [], "it may come back"
    with pytest.raises(ClusterError, match=r"^the Ray cluster at 127\.0\.0\.1:[0-9]+ is gone \(.*refused\): start it"):
        made.events(seconds=60.0, wake=reader)


def test_a_ray_that_is_gone_from_this_machine_ends_the_run_in_order(
    ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*things: Any, **told: Any) -> Any:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(ray, "wait", gone)
    store, watcher = Store(tmp_path), Watcher()
    with pytest.raises(ClusterError, match=r"^Ray on this machine is gone \(.*Broken pipe\): start it again, and type"):
        run_trials([trial()], executor=executor(), store=store, display=watcher)
    assert not attempts(tmp_path)
    assert not leased_trials(tmp_path)
    assert ray.closed


def test_a_full_disk_is_no_end_of_the_trial(ray: Ray, attempt: Attempt) -> None:
    (refused,) = events(ray, attempt, Trouble("node node1: the disk is full"))
    assert isinstance(refused, Refused)
    assert refused.said == "node node1: the disk is full"


@pytest.mark.parametrize(
    ("news", "said"),
    [
        (Unfit("node node1 has another version"), "node node1 has another version"),
        (
            exceptions.RayTaskError("_run", "Traceback\nModuleNotFoundError: No module named 'bench'", ImportError()),
            r"cannot run trials \(ModuleNotFoundError: No module named 'bench'\); the project has to",
        ),
        (
            exceptions.RaySystemError("Can't get attribute 'News'"),
            r"cannot run trials \(System error: Can't get attribute 'News'\); the project has to be installed",
        ),
    ],
)
def test_a_node_that_cannot_run_trials_stops_the_run(news: Any, said: str, ray: Ray, attempt: Attempt) -> None:
    with pytest.raises(ClusterError, match=said):
        events(ray, attempt, news)


def test_each_trial_is_set_aside_what_it_needs(ray: Ray, attempt: Attempt) -> None:
    ray.alive = [{"CPU": 8.0, "GPU": 1.0, "memory": 2e9}]
    made = executor(devices=["cpu", "cuda"], needs=Needs(cpus=2, gpus=0.5, memory_bytes=1000))
    assert made.slots == tuple(Slot(number=number, threads=2) for number in range(2))
    for device, gpus in (("cuda", 0.5), ("cpu", 0)):
        made.start(trial(device=device), attempt, made.slots[0])
        asked = {key: ray.asked[key] for key in ("num_cpus", "num_gpus", "memory")}
        assert asked == {"num_cpus": 2, "num_gpus": gpus, "memory": 1000}


def test_slots_follow_the_nodes(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "NODES_SECONDS", 0.0)
    made = executor()
    reader, _writer = multiprocessing.Pipe(duplex=False)
    assert len(made.slots) == 2
    ray.alive.append({"CPU": 1.0})
    assert made.events(seconds=60.0, wake=reader) == [], "at once: there is room for another"
    assert len(made.slots) == 3
    ray.alive = []
    made.events(seconds=0.0, wake=reader)
    assert len(made.slots) == 1, "which waits for a node"


def test_a_cluster_without_room_is_refused(ray: Ray) -> None:
    with pytest.raises(ClusterError, match=r"has room for a trial \(4 CPU\); `ray status` tells what has"):
        executor(needs=Needs(cpus=4))
    assert ray.closed


@pytest.mark.parametrize(
    ("obeys", "killed", "cancelled"),
    [(True, False, [False]), (False, False, [False, True]), (False, True, [True, True])],
)
def test_a_trial_is_stopped_in_order_and_else_killed(
    obeys: bool, killed: bool, cancelled: list[bool], ray: Ray, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "STOP_SECONDS", 0.05)
    ray.obeys = obeys
    made = executor()
    handle = made.start(trial(), attempt, made.slots[0])
    if killed:
        made.kill()
    made.stop([handle])
    assert ray.cancelled == cancelled
    reader, _writer = multiprocessing.Pipe(duplex=False)
    assert made.events(seconds=0.0, wake=reader) == [], "nothing is told of it any more"


class Finishing(Ray):
    """Its nodes see the results folder, and each trial has left its record there by the time that it tells anything."""

    def _begin(self, order: Any) -> Stream:
        store = LoneFolder(order.folder, trial_id=order.trial.id)
        store.begin(node="node1", device="cpu")
        store.write(record(order.trial).model_copy(update={"finished": ""}))
        return super()._begin(order)


@pytest.fixture
def finishing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    made = Finishing({"CPU": 1.0})
    monkeypatch.setattr(ray_executor, "connected", lambda address: made)
    with made.head:
        yield made


@pytest.mark.parametrize("end", [OVER, exceptions.NodeDiedError("Task failed")], ids=["it told", "its node is lost"])
def test_the_record_that_a_command_left_counts_however_it_ended(end: Any, finishing: Ray, tmp_path: Path) -> None:
    finishing.told = [Here(WHERE), end]
    store, watcher = Store(tmp_path), Watcher()
    run_trials([trial()], executor=executor(), store=store, display=watcher, command="this run", retries=1)
    found = store.read(trial().id)
    assert found is not None
    assert (found.status, found.command) == ("ok", "this run")
    assert [(attempt.node, attempt.how) for attempt in found.attempts] == [("node1", "ok")]
    assert [event for event, _ in watcher.events] == ["started", "finished"]
    assert watcher.places == {trial().id: WHERE}
    assert not attempts(tmp_path)
    assert finishing.closed


def test_a_run_that_is_stopped_keeps_what_finished_meanwhile(finishing: Ray, tmp_path: Path) -> None:
    def interrupt(running: Trial) -> None:
        raise KeyboardInterrupt

    finishing.told = [Progress(step=1, steps=3)]
    with pytest.raises(KeyboardInterrupt):
        run_trials([trial()], executor=executor(), store=Store(tmp_path), display=Watcher(interrupt))
    found = Store(tmp_path).read(trial().id)
    assert found is not None
    assert found.status == "ok"
    assert not leased_trials(tmp_path)


def test_a_damaged_record_of_a_command_is_a_failure_that_says_so(finishing: Ray, tmp_path: Path) -> None:
    finishing.told = [Here(WHERE), OVER]

    class Damaging(Watcher):
        def placed(self, trial: Trial, where: Where) -> None:
            super().placed(trial, where)
            (path,) = tmp_path.glob("running/*/record.json")
            path.write_text(path.read_text()[:-9])

    run_trials([trial()], executor=executor(), store=Store(tmp_path), display=Damaging())
    found = Store(tmp_path).read(trial().id)
    assert found is not None
    assert found.status == "failed"
    assert "record.json: not valid JSON" in found.error
