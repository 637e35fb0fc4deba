"""An executor whose trials are commands on this machine, attended to as on a node of a cluster, without a cluster."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.launch.cluster.node import Here, News, Order, Over, Trouble, run_ordered
from bench.launch.executor import Began, Ended, Event, Handle, Refused, Slot, Told
from bench.plan.trial import Trial
from bench.records.running.attempt import Attempt
from bench.records.running.lone_folder import write_trial
from bench.train.conditions import code_checksum
from bench.train.progress import Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class Attended:
    """A trial, and what a thread that attends to its command hears."""

    trial: Trial
    attempt: Attempt
    heard: queue.Queue[News] = field(default_factory=queue.Queue)


class Attending:
    """One trial at a time."""

    def __init__(self, data: Path, *, timeout_seconds: float | None = None) -> None:
        self.slots = (Slot(number=0, threads=1),)
        self._data = data
        self._timeout_seconds = timeout_seconds
        self._running: Attended | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def expect(self, trials: Sequence[Trial]) -> None:
        pass

    def start(self, trial: Trial, attempt: Attempt, slot: Slot) -> Attended:
        order = Order(
            trial=trial,
            folder=attempt.running,
            files={},
            data=self._data,
            threads=slot.threads,
            code=code_checksum(),
            timeout_seconds=self._timeout_seconds,
        )
        write_trial(attempt.running, trial)
        running = self._running = Attended(trial=trial, attempt=attempt)

        def attend() -> None:
            for news in run_ordered(order, gpu=None):
                running.heard.put(news)

        threading.Thread(target=attend, daemon=True).start()
        return running

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        running = self._running
        try:
            news = None if running is None else running.heard.get(timeout=min(seconds, 0.1))
        except queue.Empty:
            return []
        if isinstance(news, Here):
            return [Began(running, news.where)]
        if isinstance(news, Progress):
            return [Told(running, news)]
        self._running = None
        if isinstance(news, Trouble):
            return [Refused(running, news.said)]
        assert isinstance(news, Over)
        return [Ended(handle=running, status=news.status, error=news.error, how=news.how, conditions=news.conditions)]

    def stop(self, handles: Sequence[Handle]) -> None:
        """Nothing: no test leaves a command behind that does not end by itself."""

    def kill(self) -> None:
        pass
