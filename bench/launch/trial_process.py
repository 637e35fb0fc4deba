"""A trial that runs in a process of this machine: what it says, whether it has to be ended, and how it is stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from bench.launch.executor import Ended, Event, Refused, Told
from bench.launch.heard import Heard, Message
from bench.launch.servers import ServedProcess
from bench.plan.trial import Trial
from bench.records.attempt import Attempt
from bench.records.record import Status
from bench.train.progress import Progress

# Seconds that a process is given to end by itself after it is asked to.
GRACE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialProcess:
    """A running trial.

    Attributes:
        trial, attempt: which, and where it writes.
        process: forked by its framework's server.
        connection: what it says comes here.
        timeout_seconds: the longest that it may take; None is for ever.
        stall_seconds: the longest that it may show no life; None is for ever.
        started: when, by the clock that does not go back.
    """

    trial: Trial
    attempt: Attempt
    process: ServedProcess
    connection: Connection
    timeout_seconds: float | None
    stall_seconds: float | None
    started: float = field(default_factory=time.monotonic)
    heard: Heard = field(default_factory=Heard)

    @property
    def due(self) -> float:
        """When, by that clock, it may be over its time or stalled."""
        of_timeout = float("inf") if self.timeout_seconds is None else self.started + self.timeout_seconds
        of_stall = float("inf") if self.stall_seconds is None else self.heard.silent_until(self.stall_seconds)
        return min(of_timeout, of_stall)

    @property
    def things(self) -> list[Connection]:
        """What is ready when it speaks or ends. A closed pipe is always ready; its process is then about to end."""
        return [thing for thing in (self.connection, self.process.sentinel) if not thing.closed]

    def events(self) -> Iterator[Event]:
        """What it said, and its end; a process that is over its time or stalled is stopped."""
        yield from self._told()
        end = self._end()
        if self.process.exitcode is not None:
            yield from self._told()
            self.connection.close()
        if self.heard.trouble:
            yield Refused(self, self.heard.trouble)
        elif end is not None:
            status, error = end
            yield Ended(handle=self, status=status, error=error, conditions=self.heard.conditions)

    def _told(self) -> Iterator[Told]:
        try:
            while not self.connection.closed and self.connection.poll():
                message: Message = self.connection.recv()
                self.heard.hear(message, process_id=self._process_id)
                if isinstance(message, Progress):
                    yield Told(self, message)
        except (EOFError, OSError):
            self.connection.close()

    def _end(self) -> tuple[Status, str] | None:
        """How it ended or was ended, for a record that it may not have left; None while it goes on."""
        if self.process.exitcode is not None:
            return "failed", _how_it_ended(self.process.exitcode)
        if self.timeout_seconds is not None and time.monotonic() >= self.started + self.timeout_seconds:
            stop([self])
            return "timeout", f"stopped after {self.timeout_seconds:g} seconds, the limit"
        if self.stall_seconds is not None and self.heard.stalled(self.stall_seconds, process_id=self._process_id):
            stop([self])
            step = self.heard.step
            after = "before its first step ended" if step is None else f"after step {step}"
            return "failed", f"stalled: no sign of life for {self.stall_seconds:g} seconds, {after}; it was stopped"
        return None

    @property
    def _process_id(self) -> int:
        """Of its process; of the server while that imports, since the trial waits for it."""
        return self.process.pid or self.process.server_id


def stop(processes: Sequence[TrialProcess]) -> None:
    """Ends processes in order, so that they close their files; one that takes too long is killed."""
    for each in processes:
        each.process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for each in processes:
        each.process.join(max(0.0, until - time.monotonic()))
        if each.process.exitcode is None:
            each.process.kill()
            each.process.join()
        each.connection.close()


def _how_it_ended(exitcode: int) -> str:
    if exitcode >= 0:
        return f"the trial's process ended with exit code {exitcode} and left no record (see log.txt)"
    name = signal.Signals(-exitcode).name
    hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"the trial's process was killed by {name} (signal {-exitcode}){hint}"
