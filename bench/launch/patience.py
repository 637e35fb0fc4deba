"""When a disk takes its time, whoever waits is told meanwhile: the program itself can say nothing until it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Of what a trial's start or end writes, which takes a hundredth of a second.
PATIENCE_SECONDS = 10.0
# Between two such words.
QUIET_SECONDS = 600.0


class Patience:
    """Says that a folder's disk takes its time, while it does.

    Args:
        folder: which.
        say: takes the line, in a thread of its own.
        seconds: after which it is said.
        clock: tells seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None],
        seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._say = say
        self._seconds = seconds
        self._clock = clock
        self._quiet_until = -float("inf")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """For as long as something is written there."""
        timer = threading.Timer(self._seconds, self._tell)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _tell(self) -> None:
        if self._clock() < self._quiet_until:
            return
        self._quiet_until = self._clock() + QUIET_SECONDS
        self._say(
            f"{self._folder}: the disk has not taken for {self._seconds:g} seconds what is written there; trials that "
            "run go on, others wait for it"
        )
