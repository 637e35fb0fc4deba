"""Runs trials on the nodes of a Ray cluster, one a task, each a command of its own.

Ray places the tasks, carries what they tell, and notices nodes that are gone. Which trial runs, how often it is tried
and where its record goes stays the scheduler's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import ClusterError, LeaseError
from bench.launch.cluster.carried import all_files, write_files
from bench.launch.cluster.node import Here, Home, News, Order, Over, Trouble, Unfit, run_ordered
from bench.launch.cluster.ray_connection import Head, connected, ray_explained
from bench.launch.executor import Began, Ended, Event, Handle, Refused, Slot, Told, Where
from bench.launch.local.trial_process import GRACE_SECONDS
from bench.plan.trial import Trial
from bench.records.attempted import How
from bench.records.running.attempt import Attempt
from bench.records.running.lone_folder import write_trial
from bench.train.conditions import code_checksum
from bench.train.progress import Progress

# Seconds between looks at what the trials told, and between looks at which nodes there are.
LOOK_SECONDS = 0.25
NODES_SECONDS = 5.0
# Seconds that a trial which was sent before a node was lost is given to begin elsewhere, while there is room.
BEGIN_SECONDS = 60.0
# Seconds that a stopped trial is given to end in order, its node's answer included, before its worker is killed.
STOP_SECONDS = GRACE_SECONDS + 10.0


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What Ray sets aside for each trial.

    Attributes:
        cpus: also the threads of its framework.
        gpus: of a trial on `cuda`; a part of one, or whole ones. A trial on the CPU has none.
        memory_bytes: 0 counts none.
    """

    cpus: int = 1
    gpus: float = 1.0
    memory_bytes: int = 0

    def __post_init__(self) -> None:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ClusterError(f"--gpus-per-trial {self.gpus:g}: a part of one GPU, or whole ones")

    def of(self, device: str) -> dict[str, float]:
        """By Ray's names."""
        needs = {"CPU": float(self.cpus), "GPU": self.gpus if device == "cuda" else 0.0}
        return {name: much for name, much in (needs | {"memory": float(self.memory_bytes)}).items() if much}

    def fit(self, resources: Mapping[str, float], *, device: str) -> int:
        """How many trials at a time a node with these resources has room for."""
        # Half a thousandth more, since parts of a GPU are not exact.
        return min(int(resources.get(name, 0.0) / much + 5e-4) for name, much in self.of(device).items())


@dataclass(frozen=True)
class Placed:
    """The trial's task has begun on the node that Ray knows by this id."""

    node_id: str


@dataclass(frozen=True, kw_only=True, eq=False)
class RayTrial:
    """A trial that was sent to the cluster.

    Attributes:
        trial, attempt: which, and where its record goes.
        told: gives references to what is told of it, in order, once it is there.
    """

    trial: Trial
    attempt: Attempt
    told: Any


class RayExecutor:
    """The executor of a Ray cluster.

    Args:
        address: of the cluster; None takes the one that `RAY_ADDRESS` names or that runs on this machine, and starts
            one of this machine alone where there is none.
        devices: of the trials that are to be run: where one is `cuda`, only nodes with GPUs count.
        needs: of each trial.
        data: the folder of data sets, of the same path on each node.
        timeout_seconds: the longest that a trial may take once it runs; None is for ever.
        stall_seconds: the longest that a trial may show no life; None is for ever.

    Raises `ClusterError` where Ray is not installed, or no cluster answers, or no node of it has room for a trial.
    """

    def __init__(
        self,
        *,
        address: str | None,
        devices: Sequence[str],
        needs: Needs,
        data: Path,
        timeout_seconds: float | None = None,
        stall_seconds: float | None = None,
    ) -> None:
        self._device = "cuda" if "cuda" in devices else "cpu"
        self._needs = needs
        self._data = data.resolve()
        self._timeout_seconds = timeout_seconds
        self._stall_seconds = stall_seconds
        self._running: list[RayTrial] = []
        self._where: dict[RayTrial, Where] = {}
        self._node_ids: dict[RayTrial, str] = {}
        self._unread: dict[RayTrial, Any] = {}
        self._dead: frozenset[str] = frozenset()
        self._doubted: dict[RayTrial, float] = {}
        self._places = 0
        self._killed = False
        self._ray = connected(address)
        self._task = self._ray.remote(max_retries=0, num_returns="streaming")(_run)
        self._head = Head(self._ray.get_runtime_context().gcs_address)
        self._nodes_due = 0.0
        self.slots = self._room()
        if not self.slots:
            self._ray.shutdown()
            wanted = ", ".join(f"{much:g} {name}" for name, much in needs.of(self._device).items())
            raise ClusterError(
                f"no node of the Ray cluster has room for a trial ({wanted}); `ray status` tells what has"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def expect(self, trials: Sequence[Trial]) -> None:
        """Nothing: a trial's command imports its framework itself."""

    def start(self, trial: Trial, attempt: Attempt, slot: Slot) -> RayTrial:
        """Sends a trial to the cluster, which begins it once a node has room."""
        order = Order(
            trial=trial,
            folder=attempt.running.resolve(),
            files=all_files(attempt.running),
            data=self._data,
            threads=slot.threads,
            code=code_checksum(),
            timeout_seconds=self._timeout_seconds,
            stall_seconds=self._stall_seconds,
        )
        write_trial(attempt.running, trial)
        needs = self._needs.of(trial.device)
        task = self._task.options(
            name=f"trial {trial.id}",
            num_cpus=needs["CPU"],
            num_gpus=needs.get("GPU", 0),
            memory=needs.get("memory"),
        )
        started = RayTrial(trial=trial, attempt=attempt, told=task.remote(order))
        self._running.append(started)
        return started

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        """What the trials told; waits for something, or for another number of slots, or for so long at the most.

        Raises `ClusterError` where the cluster is gone, or cannot run trials.
        """
        until = time.monotonic() + seconds
        while True:
            before = len(self.slots)
            self._look_at_nodes()
            found = [event for each in self._ready() for event in self._events(each)]
            found += self._on_dead_nodes()
            left = until - time.monotonic()
            if found or left <= 0 or wake.poll() or len(self.slots) > before:
                return found
            wait([wake], timeout=min(LOOK_SECONDS, left))

    def stop(self, handles: Sequence[Handle]) -> None:
        """Ends trials in order; what takes too long is killed, and ends by itself."""
        left = [each for each in self._running if each in handles]
        with suppress(ClusterError):  # without their cluster they end by themselves
            self._stop(left)
        for each in left:
            self._forget(each)

    def _stop(self, trials: Sequence[RayTrial]) -> None:
        with ray_explained():
            for each in trials:
                self._ray.cancel(each.told, force=self._killed)
        until = time.monotonic() + (0.0 if self._killed else STOP_SECONDS)
        left = list(trials)
        while left and time.monotonic() < until:
            for each in self._ready(left, seconds=LOOK_SECONDS):
                list(self._events(each))  # to its end, which removes it
            left = [each for each in left if each in self._running]
        with ray_explained():
            for each in left:
                self._ray.cancel(each.told, force=True)

    def kill(self) -> None:
        """Has `stop` wait for nothing: what a signal's handler interrupts may be Ray itself."""
        self._killed = True

    def _ready(self, trials: Sequence[RayTrial] | None = None, *, seconds: float = 0.0) -> list[RayTrial]:
        """Those of the trials, or of all, that have something to tell."""
        by_told = {self._unread.get(each, each.told): each for each in (self._running if trials is None else trials)}
        if not by_told:
            return []
        with ray_explained():
            ready, _ = self._ray.wait(list(by_told), num_returns=len(by_told), timeout=seconds)
        return [by_told[told] for told in ready]

    def _events(self, each: RayTrial) -> Iterator[Event]:
        """What a trial has told and how it ended."""
        while each in self._running and each in self._ready([each]):
            try:
                news = self._read(each)
            except StopIteration:
                self._forget(each)
                yield self._lost(each, "lost", "its task ended without a word")
            except self._ray.exceptions.RayError as error:
                yield self._failed(each, error)
            else:
                if news is None:
                    return
                yield from self._of(each, news)

    def _read(self, each: RayTrial) -> News | Placed | None:
        """The next that a trial has told; None where it is still on its way here, from a node that may be gone."""
        if each not in self._unread:
            self._unread[each] = next(each.told)
            if not self._ready([each]):
                return None
        with ray_explained():
            news: News | Placed = self._ray.get(self._unread.pop(each))
        return news

    def _of(self, each: RayTrial, news: News | Placed) -> Iterator[Event]:
        if isinstance(news, Placed):
            self._node_ids[each] = news.node_id
            self._doubted.pop(each, None)
        elif isinstance(news, Here):
            self._where[each] = news.where
            yield Began(each, news.where)
        elif isinstance(news, Progress):
            yield Told(each, news)
        elif isinstance(news, Home):
            with suppress(LeaseError), each.attempt.while_held():  # else another run has it
                write_files(each.attempt.running, news.files)
        elif isinstance(news, Trouble):
            self._forget(each)
            yield Refused(each, news.said)
        elif isinstance(news, Unfit):
            raise ClusterError(news.said)
        else:
            assert isinstance(news, Over)
            self._forget(each)
            yield Ended(handle=each, status=news.status, error=news.error, how=news.how, conditions=news.conditions)

    def _failed(self, each: RayTrial, error: Exception) -> Event:
        """The end of a trial that its node does not tell of any more. Raises `ClusterError` where none can be run."""
        kinds = self._ray.exceptions
        said = str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
        if isinstance(error, kinds.TaskUnschedulableError | kinds.RuntimeEnvSetupError):
            raise ClusterError(f"the Ray cluster cannot run trials: {said}") from None
        place = self._place(each)
        self._forget(each)
        if isinstance(error, kinds.OutOfMemoryError):
            return self._lost(each, "out_of_memory", f"its node{place} ran out of memory: {said}")
        if isinstance(error, kinds.TaskCancelledError):
            return self._lost(each, "killed", f"its task was cancelled on the cluster{place}")
        # Of the task itself, which lacks the project, or has another one whose words are not known here.
        if isinstance(error, kinds.RayTaskError | kinds.RaySystemError):
            last = str(error).strip().splitlines()[-1]
            raise ClusterError(
                f"a node of the Ray cluster cannot run trials ({last}); the project has to be installed there, in this "
                f"version"
            ) from None
        if isinstance(error, kinds.WorkerCrashedError):
            return self._lost(each, "killed", f"the process on its node{place} that ran it was killed")
        return self._lost(each, "lost", f"its node{place} was lost: {said}")

    def _on_dead_nodes(self) -> list[Event]:
        """The end of trials on nodes that the cluster has given up.

        Ray tells of a process that is gone at once, but of one that is no more heard of after minutes.
        """
        found: list[Event] = []
        for each in [each for each in self._running if self._node_ids.get(each) in self._dead]:
            place = self._place(each)
            self._forget(each)
            found.append(self._lost(each, "lost", f"its node{place} was lost: the cluster hears no more of it"))
        return found + self._on_unbegun()

    def _on_unbegun(self) -> list[Event]:
        """The end of trials that may have been sent to a node which is lost: Ray would wait for it for minutes too."""
        now = time.monotonic()
        if len(self._node_ids) >= self._places:  # they may wait for room
            self._doubted = dict.fromkeys(self._doubted, now)
        late = [each for each, since in self._doubted.items() if now - since > BEGIN_SECONDS]
        for each in late:
            with ray_explained():
                self._ray.cancel(each.told, force=True)
            self._forget(each)
        said = f"it had not begun {BEGIN_SECONDS:.0f} s after a node was lost, to which it may have been sent"
        return [self._lost(each, "lost", said) for each in late]

    def _place(self, each: RayTrial) -> str:
        return f" ({self._where[each].node})" if each in self._where else ""

    def _lost(self, each: RayTrial, how: How, error: str) -> Ended:
        return Ended(handle=each, status="failed", how=how, error=error, conditions=None)

    def _forget(self, each: RayTrial) -> None:
        self._running = [other for other in self._running if other is not each]
        self._where.pop(each, None)
        self._node_ids.pop(each, None)
        self._unread.pop(each, None)
        self._doubted.pop(each, None)

    def _look_at_nodes(self) -> None:
        """Has as many slots as the nodes have room for now; while there is none, the one that waits for a node."""
        if time.monotonic() < self._nodes_due:
            return
        self._nodes_due = time.monotonic() + min(NODES_SECONDS, self._head.look_seconds)
        if self._head.answers():  # else Ray would wait for it
            self.slots = self._room() or self.slots[:1]

    def _room(self) -> tuple[Slot, ...]:
        nodes = self._ray.nodes()
        dead = frozenset(node["NodeID"] for node in nodes if not node["Alive"])
        if dead - self._dead:
            now = time.monotonic()
            self._doubted |= {each: now for each in self._running if each not in self._node_ids | self._doubted}
        self._dead = dead
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        self._places = sum(self._needs.fit(resources, device=self._device) for resources in alive)
        return tuple(Slot(number=number, threads=self._needs.cpus) for number in range(self._places))


def _run(order: Order) -> Iterator[News | Placed]:
    """The task on a node."""
    import ray

    here = ray.get_runtime_context()
    yield Placed(here.get_node_id())
    gpus = here.get_accelerator_ids().get("GPU", [])
    yield from run_ordered(order, gpu=",".join(gpus) or None)
