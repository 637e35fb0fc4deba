"""How much time is left: what trials are expected to take, and when the last would end on the workers there are."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.launch.duration.pace import Pace
from bench.plan.trial import Trial
from bench.records.record import Record
from bench.train.progress import Progress

# Of what the last answer took, the time that passes before the next.
BETWEEN = 100.0
# Of a trial's steps, as many as make its own pace count for half of what is expected of it.
TRUSTED = 0.1
# Seconds and share of a trial below which its pace is not looked at.
SHORTEST_SECONDS, SMALLEST_SHARE = 1e-3, 0.02


@dataclass
class Run:
    """A trial that runs: since when, and what it told first and last of its steps, and when."""

    since: float
    first: tuple[int, float] | None = None
    last: tuple[int, float] = (0, 0.0)
    steps: int = 1

    @property
    def done(self) -> float:
        """The share of its steps."""
        return self.last[0] / self.steps

    def rest(self, now: float) -> float | None:
        """Seconds that its steps will take yet, if they go on as they do; None until two are told."""
        if self.first is None or self.last[0] <= self.first[0]:
            return None
        of_a_step = (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])
        return max(0.0, (self.steps - self.last[0]) * of_a_step - (now - self.last[1]))


class Countdown:
    """Guesses the time left.

    A trial is expected to take its estimate, times a factor that is learned from those that ended, the most from those
    that are most like it, and somewhat from those that run. One that runs goes on at its own pace, the more the
    further it is. Then the waiting trials are handed to whichever worker is free first.

    That looks at every trial that is left, whoever asks. So it is done anew once a hundred times as long has passed as
    it took; until then the last answer counts down.

    Args:
        estimates: seconds by trial id, in the order in which the trials are run; 0 is unknown.
        groups: by trial id what `estimate.groups` has.
        workers: trials at a time.
        clock: tells seconds.
    """

    def __init__(
        self,
        estimates: Mapping[str, float],
        *,
        groups: Mapping[str, Sequence[str]],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        known = [seconds for seconds in estimates.values() if seconds]
        usual = fmean(known) if known else 1.0
        self._left = {trial_id: seconds or usual for trial_id, seconds in estimates.items()}
        self._groups = groups
        self._workers = workers
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._pace = Pace()
        self._told, self._told_at, self._valid_until = 0.0, 0.0, -math.inf

    def started(self, trial: Trial) -> None:
        """Notes that a trial runs from now on."""
        self._runs[trial.id] = Run(self._clock())

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Notes how far a running trial is."""
        run = self._runs.get(trial.id)
        if run is None:  # its last word came after its end
            return
        run.last, run.steps = (progress.step, self._clock()), progress.steps
        run.first = run.first or run.last

    def ended(self, trial: Trial, record: Record) -> None:
        """Notes how a trial ended. One that failed or diverged on its way tells nothing of how long others take."""
        if record.status in ("ok", "timeout"):
            self.finished(trial, record.total_seconds)
        else:
            self.dropped(trial)

    def finished(self, trial: Trial, seconds: float | None) -> None:
        """Notes that a trial ended after its time.

        Args:
            trial: which.
            seconds: of its record, without an import that it shares with others, for which the first ones wait; None
                where it does not tell.
        """
        if seconds is None:
            seconds = self._clock() - self._runs[trial.id].since
        if trial.id in self._left:
            self._pace.ended(self._groups[trial.id], max(SHORTEST_SECONDS, seconds) / self._left[trial.id])
        self.dropped(trial)

    def put_back(self, trial: Trial) -> None:
        """Notes that a trial waits again."""
        self._runs.pop(trial.id, None)

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
        now, pace = self._clock(), self._pace.copy()
        running = {trial_id: run for trial_id, run in self._runs.items() if trial_id in self._left}
        for trial_id, run in running.items():
            rest = run.rest(now)
            if rest is not None and run.done >= SMALLEST_SHARE:
                seconds = max(SHORTEST_SECONDS, now - run.since + rest)
                pace.runs(self._groups[trial_id], seconds / self._left[trial_id], done=run.done)

        def expected(trial_id: str) -> float:
            return self._left[trial_id] * pace.factor(self._groups[trial_id])

        ends = [_rest(run, expected(trial_id), now=now) for trial_id, run in running.items()]
        ends += [0.0] * (self._workers - len(ends))
        heapq.heapify(ends)
        for trial_id in self._left:
            if trial_id not in running:
                heapq.heapreplace(ends, ends[0] + expected(trial_id))
        return max(ends)


def _rest(run: Run, expected: float, *, now: float) -> float:
    """Of a running trial, the more by its own pace the further it is; altogether, once it is late."""
    passed = now - run.since
    by_its_pace = run.rest(now)
    if by_its_pace is None:
        return max(0.0, expected - passed)
    trust = 1.0 if passed >= expected else run.done / (run.done + TRUSTED)
    return (1.0 - trust) * max(0.0, expected - passed) + trust * by_its_pace
