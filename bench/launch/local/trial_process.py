"""A trial that runs in a process of this machine: what it says, whether it has to be ended, and how it is stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from bench.launch.executor import Ended, Event, NotBegun, Refused, Told
from bench.launch.local.servers import UNKNOWN, ServedProcess
from bench.launch.process.heard import Heard, Message
from bench.launch.process.recorded import STOPPED
from bench.plan.trial import Trial
from bench.records.attempted import How
from bench.records.record import Status
from bench.records.running.attempt import Attempt
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
        turned_away = self.process.turned_away  # by another trial's end, not by its own that follows
        end = self._end()
        if self.process.exitcode is not None:
            yield from self._told()
            self.connection.close()
        if self.heard.trouble:
            yield Refused(self, self.heard.trouble)
        elif turned_away:
            yield NotBegun(self, "it waited for an import that was stopped together with another trial")
        elif end is not None:
            status, how, error = end
            yield Ended(handle=self, status=status, how=how, error=error, conditions=self.heard.conditions)

    def _told(self) -> Iterator[Told]:
        try:
            while not self.connection.closed and self.connection.poll():
                message: Message = self.connection.recv()
                self.heard.hear(message, process_id=self._process_id)
                if isinstance(message, Progress):
                    yield Told(self, message)
        except (EOFError, OSError):
            self.connection.close()

    def _end(self) -> tuple[Status, How, str] | None:
        """How it ended or was ended, for a record that it may not have left; None while it goes on."""
        if self.process.exitcode is not None:
            return "failed", *how_it_ended(self.process.exitcode)
        if self.timeout_seconds is not None and time.monotonic() >= self.started + self.timeout_seconds:
            stop([self])
            return "timeout", "timeout", over_time(self.timeout_seconds)
        if self.stall_seconds is not None and self.heard.stalled(self.stall_seconds, process_id=self._process_id):
            stop([self])
            return "failed", "failed", stalled(self.stall_seconds, step=self.heard.step)
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


# Signals of a machine that is short of memory or goes down; others a process brings upon itself.
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def over_time(seconds: float) -> str:
    """The error of a trial that took longer than it may."""
    return f"stopped after {seconds:g} seconds, the limit"


def stalled(seconds: float, *, step: int | None) -> str:
    """The error of a trial that showed no life for so long; the step done last is None before the first."""
    after = "before its first step ended" if step is None else f"after step {step}"
    return f"stalled: no sign of life for {seconds:g} seconds, {after}; it was stopped"


def how_it_ended(exitcode: int) -> tuple[How, str]:
    """How an attempt ended that left no record, and the error, by its exit code: −n where signal n killed it."""
    if exitcode == STOPPED:  # by a SIGTERM that was not this program's
        return "killed", "the trial's process was asked to end by SIGTERM, from outside"
    if exitcode == UNKNOWN:
        return "killed", "the process that forks trials was killed, and the trial with it"
    if exitcode >= 0:
        return "failed", f"the trial's process ended with exit code {exitcode} and left no record (see log.txt)"
    number = -exitcode
    try:
        name = f"{signal.Signals(number).name} (signal {number})"
    except ValueError:  # most of those for real time have no name
        name = f"signal {number}"
    hint = "; the machine may have run out of memory" if number == signal.SIGKILL else ""
    how: How = "killed" if number in FROM_OUTSIDE else "failed"
    return how, f"the trial's process was killed by {name}{hint}"
