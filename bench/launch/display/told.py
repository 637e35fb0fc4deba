"""What whoever is told of a sweep hears, and how several are told of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from bench.launch.executor import Where
from bench.plan.trial import Trial
from bench.records.record import Record
from bench.train.progress import Progress


class Display(Protocol):
    """Is told what happens in a sweep. A context manager: open while trials run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def started(self, trial: Trial) -> None:
        """A trial's process was started."""
        ...

    def placed(self, trial: Trial, where: Where) -> None:
        """A trial runs there."""
        ...

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """A trial told where it is."""
        ...

    def finished(self, trial: Trial, record: Record) -> None:
        """A trial ended, in whatever way."""
        ...

    def put_back(self, trial: Trial, why: str) -> None:
        """A trial that was started waits again; why, in one line."""
        ...

    def shared(self, trial: Trial, record: Record) -> None:
        """A trial of this sweep ended in another run on the same results folder."""
        ...

    def stopping(self, trials: int) -> None:
        """So many running trials are being stopped, since the user asked for it."""
        ...

    def disk_is_slow(self, said: str) -> None:
        """The disk of the records takes its time, in one line; told by another thread, while this one waits for it."""
        ...


class Several:
    """Tells several, in order; each is open while trials run."""

    def __init__(self, displays: Sequence[Display]) -> None:
        self._displays = displays
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for display in self._displays:
                opened.enter_context(display)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def started(self, trial: Trial) -> None:
        """Tells each."""
        for display in self._displays:
            display.started(trial)

    def placed(self, trial: Trial, where: Where) -> None:
        """Tells each."""
        for display in self._displays:
            display.placed(trial, where)

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Tells each."""
        for display in self._displays:
            display.progressed(trial, progress)

    def finished(self, trial: Trial, record: Record) -> None:
        """Tells each."""
        for display in self._displays:
            display.finished(trial, record)

    def put_back(self, trial: Trial, why: str) -> None:
        """Tells each."""
        for display in self._displays:
            display.put_back(trial, why)

    def shared(self, trial: Trial, record: Record) -> None:
        """Tells each."""
        for display in self._displays:
            display.shared(trial, record)

    def stopping(self, trials: int) -> None:
        """Tells each."""
        for display in self._displays:
            display.stopping(trials)

    def disk_is_slow(self, said: str) -> None:
        """Tells each."""
        for display in self._displays:
            display.disk_is_slow(said)
