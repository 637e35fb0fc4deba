"""The committed sweep of many short trials passes again: 32 configurations in both frameworks."""

from __future__ import annotations

from pathlib import Path

from bench.launch.duration.countdown import Countdown
from bench.launch.duration.estimate import groups
from tests.countdown.passing import FLOOR_SECONDS, moments
from tests.countdown.recorded import recorded_runs


def test_the_time_left_is_within_a_quarter_from_the_tenth_trial_on(tmp_path: Path) -> None:
    run = max(recorded_runs("digits", data=tmp_path), key=lambda run: len(run.passed))
    assert len(run.passed) == 300
    alike = {each.trial.id: groups(each.trial) for each in run.passed}
    told = moments(
        run.passed,
        lambda clock: Countdown(run.estimates, groups=alike, workers=run.workers, clock=clock),
        between=0,
    )
    assert all(moment.within(0.25, floor=FLOOR_SECONDS) for moment in told if moment.ended >= 10)
