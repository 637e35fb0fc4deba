"""Runs trials on this machine, each in a process of its own.

The parent sleeps until a trial speaks or ends, so that it does not disturb what is being measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.launch.executor import Event, Handle, Slot, Told
from bench.launch.local.servers import Servers
from bench.launch.local.slots import local_slots
from bench.launch.local.trial_process import TrialProcess, stop
from bench.machine.gpus import gpu_variables
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt


def threads_per_worker(workers: int) -> int:
    """This process's cores, divided among the workers."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


class LocalExecutor:
    """The executor of this machine.

    Args:
        workers: trials at a time; the cores are divided among them.
        gpus: by which they are told apart instead; a trial on `cuda` sees one alone, any other none.
        trials_per_gpu: at a time.
        data: the folder of data sets.
        timeout_seconds: the longest that a trial may take; None is for ever.
        stall_seconds: the longest that a trial may show no life; None is for ever.
    """

    def __init__(
        self,
        *,
        workers: int,
        data: Path,
        gpus: Sequence[str] = (),
        trials_per_gpu: int = 1,
        timeout_seconds: float | None = None,
        stall_seconds: float | None = None,
    ) -> None:
        self.slots = local_slots(workers=workers, gpus=gpus, trials_per_gpu=trials_per_gpu)
        self._data = data
        self._timeout_seconds = timeout_seconds
        self._stall_seconds = stall_seconds
        self._servers = Servers(threads=self.slots[0].threads)
        self._running: list[TrialProcess] = []

    def __enter__(self) -> Self:
        self._servers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._servers.__exit__(kind, error, trace)

    def expect(self, trials: Sequence[Trial]) -> None:
        """Has the servers of the trials' frameworks begin to import them."""
        for framework in dict.fromkeys(trial.framework for trial in trials):
            self._servers.open(framework)

    def start(self, trial: Trial, attempt: Attempt, slot: Slot) -> TrialProcess:
        """Starts a trial, which writes to its attempt, with the slot's threads."""
        arguments: dict[str, Any] = {"trial": trial, "attempt": attempt, "data": self._data, "threads": slot.threads}
        if len(self.slots) > 1:
            arguments["cores"] = slot.cores
        if slot.gpu is not None:
            arguments["variables"] = gpu_variables(slot.gpu if trial.device == "cuda" else None)
        process, connection = self._servers.start(trial.framework, arguments)
        started = TrialProcess(
            trial=trial,
            attempt=attempt,
            process=process,
            connection=connection,
            timeout_seconds=self._timeout_seconds,
            stall_seconds=self._stall_seconds,
        )
        self._running.append(started)
        return started

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        """What the trials said and how they ended; sleeps until one has to be attended, or for so long at the most."""
        nearest = min((each.due for each in self._running), default=float("inf"))
        things = [thing for each in self._running for thing in each.things]
        wait([wake, *things], timeout=max(0.0, min(nearest - time.monotonic(), seconds)))
        found = [event for each in list(self._running) for event in each.events()]
        ended = [event.handle for event in found if not isinstance(event, Told)]
        self._running = [each for each in self._running if each not in ended]
        return found

    def stop(self, handles: Sequence[Handle]) -> None:
        """Ends trials in order: what takes too long is killed."""
        stopped = [each for each in self._running if each in handles]
        stop(stopped)
        self._running = [each for each in self._running if each not in stopped]

    def kill(self) -> None:
        """Ends every trial at once."""
        for each in list(self._running):
            each.process.kill()
