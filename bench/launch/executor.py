"""What the scheduler asks of whatever runs trials, and what it hears from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Protocol, Self

from bench.plan.trial import Trial
from bench.records.attempted import How
from bench.records.record import Status
from bench.records.running.attempt import Attempt
from bench.train.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where a trial runs: the machine's name, and the device, `cpu`, `cuda` or which GPU the trial sees."""

    node: str
    device: str


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one trial at a time.

    Attributes:
        number: tells it from the others.
        threads: that the trial's framework may use there.
        node: the machine's name; empty where that is known once a trial has begun.
        cores: of this machine, which no other slot has; none are not told apart.
        gpu: the one GPU that a trial on `cuda` sees; None leaves what there is.
    """

    number: int
    threads: int
    node: str = ""
    cores: tuple[int, ...] = ()
    gpu: str | None = None

    def where(self, trial: Trial) -> Where:
        """Where a trial runs that is started here, as far as it is known before."""
        on_gpu = self.gpu is not None and trial.device == "cuda"
        return Where(node=self.node, device=f"GPU {self.gpu}" if on_gpu else trial.device)


def gpus_of(slots: Iterable[Slot]) -> tuple[str, ...]:
    """The GPUs that slots name, each once."""
    return tuple(dict.fromkeys(slot.gpu for slot in slots if slot.gpu is not None))


class Handle(Protocol):
    """A trial that was started, by which the executor knows it."""

    @property
    def trial(self) -> Trial:
        """Which trial."""

    @property
    def attempt(self) -> Attempt:
        """Where it writes."""


@dataclass(frozen=True)
class Began:
    """A trial began somewhere that was not known when it was started."""

    handle: Handle
    where: Where


@dataclass(frozen=True)
class Told:
    """A trial told how far it is."""

    handle: Handle
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial ended: by itself, with a record most often, or because it was over its time or stalled.

    Attributes:
        handle: which.
        status, error: of its record, if it left none.
        how: the same as its attempt tells it: what is the machine's is tried again.
        conditions: under which it trained (`bench.train.conditions`); None where it did not come so far.
    """

    handle: Handle
    status: Status
    error: str
    how: How
    conditions: Mapping[str, str] | None


@dataclass(frozen=True)
class Refused:
    """A trial ended without a record, since the disk does not take its files. One line."""

    handle: Handle
    said: str


@dataclass(frozen=True)
class NotBegun:
    """A trial did not begin, for a reason that is none of its own: it waits again. One line."""

    handle: Handle
    said: str


Event = Began | Told | Ended | Refused | NotBegun


class Executor(Protocol):
    """Runs trials, a slot each. A context manager: what it needs for them ends with it."""

    @property
    def slots(self) -> Sequence[Slot]:
        """How many trials run at a time, and where."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def expect(self, trials: Sequence[Trial]) -> None:
        """Prepares for these trials, which will be started later."""

    def start(self, trial: Trial, attempt: Attempt, slot: Slot) -> Handle:
        """Starts a trial, which writes to its attempt, in a slot that is free."""

    def events(self, *, seconds: float, wake: Connection) -> Sequence[Event]:
        """What happened since it was asked last; waits for something for so long, or until `wake` can be read."""

    def stop(self, handles: Sequence[Handle]) -> None:
        """Ends trials in order, and returns when they have ended; no event tells of it."""

    def kill(self) -> None:
        """Ends every trial at once, wherever the program is: a signal's handler calls it."""
