"""The time left: within a quarter of the truth from the tenth trial of a uniform sweep on."""

from __future__ import annotations

import heapq
import itertools
import random

import pytest

from bench.launch.countdown import BETWEEN, Countdown
from bench.plan.trial import Trial, build_trial
from bench.train.progress import Progress

IMPORT_SECONDS = 12.0
STEPS = 1000


def uniform(count: int) -> list[Trial]:
    content = {"task": "adding", "cell": "lstm", "framework": "pytorch"}
    return [build_trial(content | {"seed": seed}, where="test") for seed in range(count)]


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("wrong_by", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("usual", [1.0, 60.0])
def test_a_uniform_sweep(workers: int, wrong_by: float, usual: float) -> None:
    """Trials vary by a tenth either way; the first of each worker wait for an import; the estimate may be far off."""
    trials, draw, clock = uniform(40), random.Random(7), Clock()
    takes = {
        trial.id: usual * draw.uniform(0.9, 1.1) + (IMPORT_SECONDS if number < workers else 0.0)
        for number, trial in enumerate(trials)
    }
    countdown = Countdown(
        {trial.id: usual * wrong_by for trial in trials},
        workers=workers,
        configurations={trial.id: "one" for trial in trials},
        clock=clock,
    )
    running: list[tuple[float, int]] = []
    waiting = list(range(len(trials)))
    told: list[tuple[float, float]] = []
    while waiting or running:
        while waiting and len(running) < workers:
            number = waiting.pop(0)
            countdown.started(trials[number])
            heapq.heappush(running, (clock.seconds + takes[trials[number].id], number))
        clock.seconds, number = heapq.heappop(running)
        imported = IMPORT_SECONDS if number < workers else 0.0
        countdown.finished(trials[number], takes[trials[number].id] - imported)
        for end, other in running:
            share = 1.0 - (end - clock.seconds) / takes[trials[other].id]
            countdown.progressed(trials[other], Progress(step=int(share * STEPS), steps=STEPS))
        told.append((clock.seconds, countdown.seconds_left()))
    end = clock.seconds
    for now, left in told[9:-workers]:
        assert left == pytest.approx(end - now, rel=0.25)
    assert told[-1][1] == 0.0


def test_trials_are_handed_to_whoever_is_free_first() -> None:
    """Three alike on two workers take two rounds, not one and a half."""
    trials = uniform(3)
    assert Countdown({trial.id: 10.0 for trial in trials}, workers=2, clock=Clock()).seconds_left() == 20.0


def test_a_configuration_is_expected_to_take_what_it_took() -> None:
    """However wrong its estimate was, and without changing what another one's says but by the usual pace."""
    one, two, other = uniform(3)
    clock = Clock()
    countdown = Countdown(
        {one.id: 5.0, two.id: 5.0, other.id: 100.0},
        workers=1,
        configurations={one.id: "a", two.id: "a", other.id: "b"},
        clock=clock,
    )
    countdown.started(one)
    clock.seconds = 10.0
    countdown.finished(one, None)
    assert countdown.seconds_left() == 10.0 + 200.0
    countdown.started(other)
    countdown.put_back(other)
    countdown.dropped(other)
    assert countdown.seconds_left() == 10.0


def test_a_trial_that_takes_longer_than_expected_goes_on_at_its_own_pace() -> None:
    (trial,) = uniform(1)
    clock = Clock()
    countdown = Countdown({trial.id: 10.0}, workers=1, clock=clock)
    countdown.started(trial)
    clock.seconds = 4.0
    assert countdown.seconds_left() == 6.0
    clock.seconds = 30.0
    countdown.progressed(trial, Progress(step=3, steps=4))
    assert countdown.seconds_left() == pytest.approx(10.0)


def test_a_trial_that_is_nearly_done_is_not_expected_to_take_what_others_took() -> None:
    (trial,) = uniform(1)
    clock = Clock()
    countdown = Countdown({trial.id: 100.0}, workers=1, clock=clock)
    countdown.started(trial)
    clock.seconds = 9.0
    countdown.progressed(trial, Progress(step=9, steps=10))
    assert countdown.seconds_left() == pytest.approx(0.1 * 91.0 + 0.9 * 1.0)


def test_a_machine_that_becomes_quiet_is_followed() -> None:
    trials, clock = uniform(40), Clock()
    countdown = Countdown(
        {trial.id: 10.0 for trial in trials},
        workers=1,
        configurations={trial.id: "one" for trial in trials},
        clock=clock,
    )
    for number, trial in enumerate(trials[:30]):
        countdown.started(trial)
        countdown.finished(trial, 20.0 if number < 20 else 5.0)
    assert countdown.seconds_left() == 10 * 5.0


def test_where_nothing_is_estimated_the_others_mean_is_taken() -> None:
    trials, clock = uniform(3), Clock()
    countdown = Countdown(
        dict(zip((trial.id for trial in trials), itertools.repeat(0.0), strict=False)), workers=1, clock=clock
    )
    countdown.started(trials[0])
    countdown.finished(trials[0], 7.0)
    assert countdown.seconds_left() == 14.0


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
    countdown = Working({trial.id: 1000.0 for trial in trials}, workers=1, clock=clock)
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
