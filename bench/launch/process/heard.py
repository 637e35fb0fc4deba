"""What was heard from a trial's process: how far it is, that it lives, and that its disk does not take its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.machine.processes import processor_seconds
from bench.train.progress import Life, Progress

# The least share of one processor, over the time that it may be silent, that tells a process that computes from one
# that waits for ever. Threads that look around now and then use less.
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class DiskTrouble:
    """A child's last word: it ends without a record, since the disk does not take its files. One line."""

    said: str


Message = Progress | Life | DiskTrouble


class Heard:
    """What one process has said, and when.

    Attributes:
        step: the step done last; None before the first.
        conditions: under which it trains; None before it told.
        trouble: what it said of its disk; empty where nothing.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.step: int | None = None
        self.conditions: Mapping[str, str] | None = None
        self.trouble = ""
        self._clock = clock
        self._last = clock()
        self._computing, self._computed = True, 0.0  # it begins with imports
        self._computed_by: int | None = None

    def hear(self, message: Message, *, process_id: int) -> None:
        """Takes in a message of the process."""
        self._last = self._clock()
        if isinstance(message, DiskTrouble):
            self.trouble = message.said
        elif isinstance(message, Progress):
            self.step = message.step
        else:
            self._computing = message.computing
            self._computed = processor_seconds(process_id) if message.computing else 0.0
            self._computed_by = process_id
            self.conditions = message.conditions or self.conditions

    def silent_until(self, seconds: float) -> float:
        """When, by the clock, it will have shown no life for so long."""
        return self._last + seconds

    def stalled(self, seconds: float, *, process_id: int) -> bool:
        """Whether it showed no life for so long: neither a word nor, where it said that it computes, computing."""
        if self._clock() < self.silent_until(seconds):
            return False
        if self._computing:
            now, before = processor_seconds(process_id), self._computed if process_id == self._computed_by else 0.0
            # Forked since the last look, it may have had no time to compute.
            forked = self._computed_by not in (None, process_id)
            lives = forked or now - before >= LEAST_SHARE * seconds
            self._computed, self._computed_by = now, process_id
            if lives:
                self._last = self._clock()
            return not lives
        return True
