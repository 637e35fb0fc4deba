"""How much time is left: what trials are expected to take, and when the last would end on the workers there are."""

from __future__ import annotations

import heapq
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from statistics import fmean, median

from bench.plan.trial import Trial
from bench.train.progress import Progress

# How many of a configuration are looked at: a machine may become busy, or quiet, while a sweep runs.
RECENT = 10
# Of what the last answer took, the time that passes before the next.
BETWEEN = 100.0


class Countdown:
    """Guesses the time left.

    A trial is expected to take the median of the last that ended and differ from it in the seed alone; where none did,
    its estimate, times the median of how those that ended compared with theirs. Then the waiting trials are handed to
    whichever worker is free first.

    That looks at every trial that is left, whoever asks. So it is done anew once a hundred times as long has passed as
    it took; until then the last answer counts down.

    Args:
        estimates: seconds by trial id, in the order in which the trials are run; 0 is unknown.
        workers: trials at a time.
        configurations: what trials that differ in the seed alone share, by trial id; None where that is not known.
        clock: tells seconds.
    """

    def __init__(
        self,
        estimates: Mapping[str, float],
        *,
        workers: int,
        configurations: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left = dict(estimates)
        self._workers = workers
        self._configurations = dict.fromkeys(estimates, "") if configurations is None else configurations
        self._known = configurations is not None
        self._clock = clock
        self._started: dict[str, float] = {}
        self._progress: dict[str, Progress] = {}
        self._taken: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._paces: list[float] = []
        self._told, self._told_at, self._valid_until = 0.0, 0.0, -math.inf

    def started(self, trial: Trial) -> None:
        """Notes that a trial runs from now on."""
        self._started[trial.id] = self._clock()

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Notes how far a running trial is."""
        self._progress[trial.id] = progress

    def finished(self, trial: Trial, seconds: float | None) -> None:
        """Notes that a trial ended, and how long it took.

        Args:
            trial: which.
            seconds: of its record, without an import that it shares with others, for which the first ones wait; None
                where it does not tell.
        """
        if seconds is None:
            seconds = self._clock() - self._started[trial.id]
        estimated = self._left.get(trial.id, 0.0)
        self._taken[self._configurations.get(trial.id, "")].append(seconds)
        if estimated:
            self._paces.append(seconds / estimated)
        self.dropped(trial)

    def put_back(self, trial: Trial) -> None:
        """Notes that a trial waits again."""
        self._started.pop(trial.id, None)
        self._progress.pop(trial.id, None)

    def dropped(self, trial: Trial) -> None:
        """Notes that a trial need not be run; how long it took elsewhere tells nothing of this machine."""
        self.put_back(trial)
        self._left.pop(trial.id, None)

    def seconds_left(self) -> float:
        """Until the last of all that wait or run has ended."""
        if not self._left:
            return 0.0
        begun = self._clock()
        if begun >= self._valid_until:
            self._told, self._told_at = self._computed(), begun
            ended = self._clock()
            self._valid_until = ended + BETWEEN * (ended - begun)
        return max(0.0, self._told - (begun - self._told_at))

    def _computed(self) -> float:
        typical = {name: median(taken) for name, taken in self._taken.items()} if self._known else {}
        pace = median(self._paces) if self._paces else 1.0
        any_trial = fmean(seconds for taken in self._taken.values() for seconds in taken) if self._taken else 0.0

        def expected(trial_id: str) -> float:
            known = typical.get(self._configurations.get(trial_id, ""))
            return known if known is not None else pace * self._left[trial_id] or any_trial

        running = [trial_id for trial_id in self._left if trial_id in self._started]
        ends = [self._rest(trial_id, expected(trial_id)) for trial_id in running]
        ends += [0.0] * (self._workers - len(ends))
        heapq.heapify(ends)
        for trial_id in self._left:
            if trial_id not in self._started:
                heapq.heapreplace(ends, ends[0] + expected(trial_id))
        return max(ends)

    def _rest(self, trial_id: str, expected: float) -> float:
        """Of a running trial, the more by its own pace the further it is; altogether, once it is late."""
        passed = self._clock() - self._started[trial_id]
        told = self._progress.get(trial_id)
        done = told.step / told.steps if told is not None else 0.0
        by_its_pace = passed * (1.0 - done) / done if done else 0.0
        if passed >= expected:
            return by_its_pace
        return (1.0 - done) * (expected - passed) + done * by_its_pace
