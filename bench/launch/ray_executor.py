"""Runs trials on the nodes of a Ray cluster, one a task, each a command of its own.

Ray places the tasks, carries what they tell, and notices nodes that are gone. Which trial runs, how often it is tried
and where its record goes stays the scheduler's.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import ClusterError
from bench.launch.carried import all_files, write_files
from bench.launch.executor import Began, Ended, Event, Handle, Refused, Slot, Told, Where
from bench.launch.node import Here, Home, News, Order, Over, Trouble, Unfit, run_ordered
from bench.launch.trial_process import GRACE_SECONDS
from bench.plan.trial import Trial
from bench.records.attempt import Attempt
from bench.records.attempted import How
from bench.records.lone_folder import write_trial
from bench.train.conditions import code_checksum
from bench.train.progress import Progress

INSTALL = "install it with `pip install 'skiprnn-bench[cluster]'` (`make install` does)"
# Seconds between looks at what the trials told, and between looks at which nodes there are.
LOOK_SECONDS = 0.25
NODES_SECONDS = 5.0
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
        self._killed = False
        self._ray = connected(address)
        self._task = self._ray.remote(max_retries=0, num_returns="streaming")(_run)
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
        """What the trials told; waits for something, or for another number of slots, or for so long at the most."""
        until = time.monotonic() + seconds
        while True:
            before = len(self.slots)
            self._look_at_nodes()
            found = [event for each in self._ready() for event in self._events(each)]
            left = until - time.monotonic()
            if found or left <= 0 or wake.poll() or len(self.slots) > before:
                return found
            wait([wake], timeout=min(LOOK_SECONDS, left))

    def stop(self, handles: Sequence[Handle]) -> None:
        """Ends trials in order; what takes too long is killed, and ends by itself."""
        left = [each for each in self._running if each in handles]
        for each in left:
            self._ray.cancel(each.told, force=self._killed)
        until = time.monotonic() + (0.0 if self._killed else STOP_SECONDS)
        while left and time.monotonic() < until:
            for each in self._ready(left, seconds=LOOK_SECONDS):
                list(self._events(each))  # to its end, which removes it
            left = [each for each in left if each in self._running]
        for each in left:
            self._ray.cancel(each.told, force=True)
            self._forget(each)

    def kill(self) -> None:
        """Has `stop` wait for nothing: what a signal's handler interrupts may be Ray itself."""
        self._killed = True

    def _ready(self, trials: Sequence[RayTrial] | None = None, *, seconds: float = 0.0) -> list[RayTrial]:
        """Those of the trials, or of all, that have something to tell."""
        by_told = {each.told: each for each in (self._running if trials is None else trials)}
        if not by_told:
            return []
        ready, _ = self._ray.wait(list(by_told), num_returns=len(by_told), timeout=seconds)
        return [by_told[told] for told in ready]

    def _events(self, each: RayTrial) -> Iterator[Event]:
        """What a trial has told and how it ended."""
        while each in self._running and each in self._ready([each]):
            try:
                news: News = self._ray.get(next(each.told))
            except StopIteration:
                self._forget(each)
                yield self._lost(each, "lost", "its task ended without a word")
            except self._ray.exceptions.RayError as error:
                yield self._failed(each, error)
            else:
                yield from self._of(each, news)

    def _of(self, each: RayTrial, news: News) -> Iterator[Event]:
        if isinstance(news, Here):
            self._where[each] = news.where
            yield Began(each, news.where)
        elif isinstance(news, Progress):
            yield Told(each, news)
        elif isinstance(news, Home):
            if each.attempt.running.is_dir():  # else another run has it
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
        place = f" ({self._where[each].node})" if each in self._where else ""
        self._forget(each)
        if isinstance(error, kinds.OutOfMemoryError):
            return self._lost(each, "out_of_memory", f"its node{place} ran out of memory: {said}")
        if isinstance(error, kinds.TaskCancelledError):
            return self._lost(each, "killed", f"its task was cancelled on the cluster{place}")
        if isinstance(error, kinds.RayTaskError):  # of the task itself, which lacks the project or room for a folder
            last = str(error).strip().splitlines()[-1]
            raise ClusterError(
                f"a node of the Ray cluster cannot run trials ({last}); the project has to be installed there, in this "
                f"version"
            ) from None
        if isinstance(error, kinds.WorkerCrashedError):
            return self._lost(each, "killed", f"the process on its node{place} that ran it was killed")
        return self._lost(each, "lost", f"its node{place} was lost: {said}")

    def _lost(self, each: RayTrial, how: How, error: str) -> Ended:
        return Ended(handle=each, status="failed", how=how, error=error, conditions=None)

    def _forget(self, each: RayTrial) -> None:
        self._running = [other for other in self._running if other is not each]
        self._where.pop(each, None)

    def _look_at_nodes(self) -> None:
        """Has as many slots as the nodes have room for now; while there is none, the one that waits for a node."""
        if time.monotonic() >= self._nodes_due:
            self.slots = self._room() or self.slots[:1]

    def _room(self) -> tuple[Slot, ...]:
        self._nodes_due = time.monotonic() + NODES_SECONDS
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        count = sum(self._needs.fit(resources, device=self._device) for resources in alive)
        return tuple(Slot(number=number, threads=self._needs.cpus) for number in range(count))


def connected(address: str | None) -> Any:
    """Ray, connected to a cluster. Raises `ClusterError`."""
    if address is not None and address.startswith("ray://"):
        raise ClusterError(
            f"--address {address}: name the cluster's own address, HOST:PORT, on a machine that is in it"
        )
    try:
        import ray
    except ModuleNotFoundError:
        raise ClusterError(f"--executor ray needs the package 'ray': {INSTALL}") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that a Ray is started here
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).split())
        raise ClusterError(
            f"no Ray cluster answers at {address or 'this machine'} ({said}); start one with `ray start --head`, and "
            f"set RAY_AUTH_MODE=token here where it was started so"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray's would end the program out of order
    # Ray prints thirty lines of its logs for a node that is gone; the scheduler says it in one. There is no option.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _run(order: Order) -> Iterator[News]:
    """The task on a node."""
    import ray

    gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    yield from run_ordered(order, gpu=",".join(gpus) or None)
