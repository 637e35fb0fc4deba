"""Sweeps that pass by a clock of their own, and what a countdown tells of the time left meanwhile."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.launch.duration.countdown import Countdown
from bench.plan.trial import Trial
from bench.train.progress import Progress

# Of a trial's time, what passes before its first step and after its last.
BEFORE_STEPS, AFTER_STEPS = 0.1, 0.03
STEPS = 10_000
# Of an error that no one minds, whatever its share of the truth.
FLOOR_SECONDS = 5.0


class Clock:
    """Tells the seconds that it is set to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A trial that ran.

    Attributes:
        trial: which.
        start, end: seconds of one clock.
        told: what its record tells that it took; without an import that it waited for.
    """

    trial: Trial
    start: float
    end: float
    told: float

    def progress(self, now: float) -> Progress | None:
        """What it has told until now; None before its first step."""
        share = (now - self.start) / (self.end - self.start)
        done = (share - BEFORE_STEPS) / (1.0 - BEFORE_STEPS - AFTER_STEPS)
        step = min(STEPS, int(done * STEPS))
        return Progress(step=step, steps=STEPS) if step > 0 else None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What was told at some moment, and the truth.

    Attributes:
        ended: how many trials had ended.
        left: seconds that were left.
        told: seconds that were told to be left.
    """

    ended: int
    left: float
    told: float

    def within(self, share: float, *, floor: float) -> bool:
        """Whether it was told within a share of the truth, or so many seconds."""
        return abs(self.told - self.left) <= max(share * self.left, floor)


def planned(
    trials: Sequence[Trial], seconds: Callable[[Trial, float], float], *, workers: int, imports: float = 0.0
) -> list[Passed]:
    """The trials in order, each on the worker that is free first.

    Args:
        trials: in the order in which they are run.
        seconds: what a trial takes that starts at this time.
        workers: trials at a time.
        imports: seconds that the first trial of each worker waits for.
    """
    free = [(0.0, imports)] * workers
    made = []
    for trial in trials:
        start, waits = heapq.heappop(free)
        told = seconds(trial, start)
        made.append(Passed(trial=trial, start=start, end=start + waits + told, told=told))
        heapq.heappush(free, (made[-1].end, 0.0))
    return made


def moments(
    passed: Sequence[Passed],
    countdown: Callable[[Clock], Countdown],
    *,
    between: int = 3,
) -> list[Moment]:
    """What was told whenever a trial ended and so many times in between, from the first start to the last end."""
    clock = Clock()
    counting = countdown(clock)
    begun, end = min(each.start for each in passed), max(each.end for each in passed)
    starts = sorted(passed, key=lambda each: (each.start, each.end))
    ends = sorted(passed, key=lambda each: each.end)
    running: list[Passed] = []
    told: list[Moment] = []
    clock.seconds = begun

    def start_until(now: float) -> None:
        while starts and starts[0].start <= now:
            each = starts.pop(0)
            clock.seconds = max(clock.seconds, each.start)
            counting.started(each.trial)
            running.append(each)

    def look(ended: int) -> None:
        for each in running:
            progress = each.progress(clock.seconds)
            if progress is not None:
                counting.progressed(each.trial, progress)
        told.append(Moment(ended=ended, left=end - clock.seconds, told=counting.seconds_left()))

    for number, each in enumerate(ends):
        before = clock.seconds
        for part in range(1, between + 1):
            now = before + (each.end - before) * part / (between + 1)
            start_until(now)
            if now > clock.seconds:
                clock.seconds = now
                look(number)
        start_until(each.end - 1e-9)
        clock.seconds = each.end
        running.remove(each)
        counting.finished(each.trial, each.told)
        look(number + 1)
    return told


def spread(draw: random.Random, share: float) -> float:
    """A factor around 1, log-normal, with this standard deviation relative to it."""
    sigma = math.sqrt(math.log(1.0 + share**2))
    return math.exp(draw.gauss(-(sigma**2) / 2.0, sigma))
