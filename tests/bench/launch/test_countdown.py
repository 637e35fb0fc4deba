"""The time left: within a quarter of the truth from the tenth trial of a uniform sweep on."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from bench.launch.duration.countdown import BETWEEN, Countdown
from bench.plan.trial import Trial, build_trial
from bench.records.record import Record, Status, identity
from bench.train.progress import Progress
from tests.countdown.passing import FLOOR_SECONDS, Clock, moments, planned, spread

IMPORT_SECONDS = 12.0


def uniform(count: int) -> list[Trial]:
    content = {"task": "adding", "cell": "lstm", "framework": "pytorch"}
    return [build_trial(content | {"seed": seed}, where="test") for seed in range(count)]


def alike(trials: Sequence[Trial]) -> dict[str, Sequence[str]]:
    """As those that differ in the seed alone."""
    return {trial.id: ("computes", "learns", "one") for trial in trials}


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("wrong_by", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("usual", [1.0, 60.0])
def test_a_uniform_sweep(workers: int, wrong_by: float, usual: float) -> None:
    """Trials vary by a tenth either way; the first of each worker wait for an import; the estimate may be far off."""
    trials, draw = uniform(40), random.Random(7)
    estimates = {trial.id: usual * wrong_by for trial in trials}
    passed = planned(
        trials, lambda trial, start: usual * draw.uniform(0.9, 1.1), workers=workers, imports=IMPORT_SECONDS
    )
    told = moments(
        passed,
        lambda clock: Countdown(estimates, groups=alike(trials), workers=workers, clock=clock),
        between=0,
    )
    assert len(told) == 40
    for moment in told[9:-workers]:
        assert moment.told == pytest.approx(moment.left, rel=0.25)
    assert told[-1].told == 0.0


def test_a_few_trials_whose_times_differ_while_the_machine_becomes_slower() -> None:
    """Of 24 by a tenth, and by a half in all; at any moment, on four workers, which leave one after the other."""
    trials, draw = uniform(24), random.Random(1)
    estimates = dict.fromkeys((trial.id for trial in trials), 40.0)
    passed = planned(
        trials, lambda trial, start: 60.0 * spread(draw, 0.1) * (1.0 + start / 720.0), workers=4, imports=10.0
    )
    told = moments(passed, lambda clock: Countdown(estimates, groups=alike(trials), workers=4, clock=clock))
    later = [moment.within(0.25, floor=FLOOR_SECONDS) for moment in told if moment.ended >= 10]
    assert sum(later) >= 0.95 * len(later)


def test_trials_are_handed_to_whoever_is_free_first() -> None:
    """Three alike on two workers take two rounds, not one and a half."""
    trials = uniform(3)
    assert (
        Countdown({trial.id: 10.0 for trial in trials}, groups=alike(trials), workers=2, clock=Clock()).seconds_left()
        == 20.0
    )


def test_a_configuration_is_expected_to_take_what_it_took() -> None:
    """However wrong its estimate was; another one's is off by what all were, as long as nothing else is known."""
    one, two, other = uniform(3)
    clock = Clock()
    countdown = Countdown(
        {one.id: 5.0, two.id: 5.0, other.id: 100.0},
        groups={one.id: ("a", "a a", "a a a"), two.id: ("a", "a a", "a a a"), other.id: ("b", "b b", "b b b")},
        workers=1,
        clock=clock,
    )
    countdown.started(one)
    clock.seconds = 10.0
    countdown.finished(one, None)
    assert countdown.seconds_left() == pytest.approx(10.0 + 200.0, rel=0.01)
    countdown.started(other)
    countdown.put_back(other)
    countdown.dropped(other)
    clock.seconds = 10.1
    assert countdown.seconds_left() == pytest.approx(10.0, rel=0.01)


def test_each_framework_is_expected_to_be_off_its_estimates_as_it_was() -> None:
    """One is as fast as estimated, the other takes three times as long, in configurations that never ran as well."""
    trials, clock = uniform(22), Clock()
    groups = {trial.id: (f"{n % 2}", f"{n % 2} cell", f"{n} configuration") for n, trial in enumerate(trials)}
    countdown = Countdown({trial.id: 10.0 for trial in trials}, groups=groups, workers=1, clock=clock)
    for number, trial in enumerate(trials[:20]):
        countdown.started(trial)
        countdown.finished(trial, (10.0, 30.0)[number % 2])
    countdown.dropped(trials[20])
    assert countdown.seconds_left() == pytest.approx(30.0, rel=0.25)
    clock.seconds = 0.1
    countdown.dropped(trials[21])


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_trial_that_failed_at_once_tells_nothing_of_the_others(status: Status) -> None:
    one, two = uniform(2)
    countdown = Countdown({one.id: 10.0, two.id: 10.0}, groups=alike([one, two]), workers=1, clock=Clock())
    countdown.started(one)
    countdown.ended(one, Record(**identity(one), status=status, total_seconds=0.01))
    assert countdown.seconds_left() == 10.0


def test_a_trial_that_takes_longer_than_expected_goes_on_at_its_own_pace() -> None:
    """That of its steps: what passed before the first, such as a wait for an import, is in none."""
    (trial,) = uniform(1)
    clock = Clock()
    countdown = Countdown({trial.id: 10.0}, groups=alike([trial]), workers=1, clock=clock)
    countdown.started(trial)
    clock.seconds = 4.0
    assert countdown.seconds_left() == 6.0
    clock.seconds = 18.0
    countdown.progressed(trial, Progress(step=1, steps=10))
    clock.seconds = 30.0
    countdown.progressed(trial, Progress(step=7, steps=10))
    assert countdown.seconds_left() == pytest.approx(6.0, rel=0.01)


def test_a_trial_that_is_nearly_done_is_not_expected_to_take_what_others_took() -> None:
    (trial,) = uniform(1)
    clock = Clock()
    countdown = Countdown({trial.id: 100.0}, groups=alike([trial]), workers=1, clock=clock)
    countdown.started(trial)
    countdown.progressed(trial, Progress(step=1, steps=100))
    clock.seconds = 9.0
    countdown.progressed(trial, Progress(step=91, steps=100))
    assert countdown.seconds_left() == pytest.approx(0.9, rel=0.25)


def test_what_a_running_trial_shows_is_expected_of_those_that_wait() -> None:
    """Before any has ended: of long trials that may take an hour."""
    trials, clock = uniform(11), Clock()
    countdown = Countdown({trial.id: 10.0 for trial in trials}, groups=alike(trials), workers=1, clock=clock)
    countdown.started(trials[0])
    countdown.progressed(trials[0], Progress(step=1, steps=101))
    clock.seconds = 20.0
    countdown.progressed(trials[0], Progress(step=51, steps=101))
    assert countdown.seconds_left() == pytest.approx(20.0 + 10 * 40.0, rel=0.05)


def test_a_word_that_comes_after_a_trials_end_is_not_heard() -> None:
    one, two = uniform(2)
    countdown = Countdown({one.id: 10.0, two.id: 10.0}, groups=alike([one, two]), workers=1, clock=Clock())
    countdown.started(one)
    countdown.finished(one, 10.0)
    countdown.progressed(one, Progress(step=1, steps=2))
    assert countdown.seconds_left() == pytest.approx(10.0)


@pytest.mark.parametrize(("before", "since"), [(20, 10), (200, 30)])
def test_a_machine_that_becomes_quiet_is_followed(before: int, since: int) -> None:
    """By a factor of four: some trials later it is known to a quarter, however long it was busy."""
    trials, clock = uniform(before + since + 10), Clock()
    countdown = Countdown({trial.id: 10.0 for trial in trials}, groups=alike(trials), workers=1, clock=clock)
    for number, trial in enumerate(trials[: before + since]):
        countdown.started(trial)
        countdown.finished(trial, 20.0 if number < before else 5.0)
    assert countdown.seconds_left() == pytest.approx(10 * 5.0, rel=0.25)


def test_where_nothing_is_estimated_the_others_mean_is_taken() -> None:
    trials, clock = uniform(3), Clock()
    nothing = dict.fromkeys((trial.id for trial in trials), 0.0)
    countdown = Countdown(nothing, groups=alike(trials), workers=1, clock=clock)
    countdown.started(trials[0])
    countdown.finished(trials[0], 7.0)
    assert countdown.seconds_left() == pytest.approx(14.0, rel=0.01)


class Working(Countdown):
    """Takes a second for each answer that it computes."""

    computed = 0

    def _computed(self) -> float:
        self.computed += 1
        assert isinstance(self._clock, Clock)
        self._clock.seconds += 1.0
        return super()._computed()


def test_whoever_asks_often_does_not_pay_for_each_answer() -> None:
    """Of 10,000 trials an answer takes long, and each trial that ends asks for several."""
    trials, clock = uniform(3), Clock()
    countdown = Working({trial.id: 1000.0 for trial in trials}, groups=alike(trials), workers=1, clock=clock)
    first = countdown.seconds_left()
    for passed in range(1, int(BETWEEN)):
        clock.seconds = 1.0 + passed
        assert countdown.seconds_left() == first - 1.0 - passed, "it counts down"
    assert countdown.computed == 1
    clock.seconds = 1.0 + BETWEEN
    countdown.seconds_left()
    assert countdown.computed == 2
    for trial in trials:
        countdown.dropped(trial)
    assert countdown.seconds_left() == 0.0, "that nothing is left is known at once"
