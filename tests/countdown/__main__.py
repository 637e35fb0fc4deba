"""`python -m tests.countdown`: how often the time left is told within 25 %, in sweeps made up and recorded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.launch.duration.countdown import Countdown
from bench.launch.duration.estimate import groups
from bench.plan.trial import build_trial
from tests.countdown.passing import FLOOR_SECONDS, Moment, moments, planned, spread
from tests.countdown.recorded import recorded_runs

SHARE, FROM_TRIAL = 0.25, 10
USUAL_SECONDS, ESTIMATED_SECONDS, IMPORT_SECONDS = 60.0, 40.0, 10.0
# The spread of the trials' times, and how many times slower the machine is in the end.
MACHINES = {
    "10 %": (0.1, 1.0),
    "25 %": (0.25, 1.0),
    "10 %, 1.5 × slower": (0.1, 1.5),
    "10 %, 1.5 × faster": (0.1, 1 / 1.5),
}
RECORDED = ("digits", "frameworks", "ablations-skips", "table1-cpu", "table4-cpu")


def main(
    seeds: Annotated[int, typer.Option(help="Sweeps of each kind.", min=1)] = 10,
    recorded: Annotated[bool, typer.Option(help="Whether the committed sweeps pass again too.")] = True,
) -> None:
    """Prints a line each: how often it is right from the tenth trial that ended on, and by how much it is wrong."""
    typer.echo(f"within {SHARE:.0%} of the truth, or {FLOOR_SECONDS:g} s; errors in percent of more than these seconds")
    for name, told in (*_made_up(seeds), *(_recorded() if recorded else ())):
        late = [moment for moment in told if moment.ended >= FROM_TRIAL and moment.left > 0.0]
        right = sum(moment.within(SHARE, floor=FLOOR_SECONDS) for moment in late)
        errors = sorted(abs(moment.told / moment.left - 1.0) for moment in late if moment.left > FLOOR_SECONDS)
        median, most = errors[len(errors) // 2], errors[int(0.9 * len(errors))]
        typer.echo(f"{name:45} {right / len(late):6.1%} of {len(late):6}, median {median:.0%}, nine in ten {most:.0%}")


def _made_up(seeds: int) -> Iterator[tuple[str, Sequence[Moment]]]:
    content = {"task": "adding", "cell": "lstm", "framework": "pytorch"}
    for count in (24, 60, 200):
        trials = [build_trial({**content, "seed": seed}, where="countdown") for seed in range(count)]
        alike = {trial.id: groups(trial) for trial in trials}
        estimates = dict.fromkeys(alike, ESTIMATED_SECONDS)
        for workers in (1, 2, 4):
            whole = USUAL_SECONDS * count / workers
            for name, (share, change) in MACHINES.items():
                told: list[Moment] = []
                for seed in range(seeds):
                    draw = random.Random(seed)
                    passed = planned(
                        trials,
                        lambda trial, start, draw=draw, share=share, change=change, whole=whole: (
                            USUAL_SECONDS * spread(draw, share) * change ** min(1.0, start / whole)
                        ),
                        workers=workers,
                        imports=IMPORT_SECONDS,
                    )
                    told += moments(
                        passed,
                        lambda clock, alike=alike, workers=workers, estimates=estimates: Countdown(
                            estimates, groups=alike, workers=workers, clock=clock
                        ),
                    )
                yield f"{count} trials, {workers} at a time, {name}", told


def _recorded() -> Iterator[tuple[str, Sequence[Moment]]]:
    for sweep in RECORDED:
        for run in recorded_runs(sweep, data=Path("data")):
            alike = {each.trial.id: groups(each.trial) for each in run.passed}
            told = moments(
                run.passed,
                lambda clock, run=run, alike=alike: Countdown(
                    run.estimates, groups=alike, workers=run.workers, clock=clock
                ),
            )
            minutes = (max(each.end for each in run.passed) - run.passed[0].start) / 60
            yield f"{sweep}, {len(run.passed)} trials in {minutes:.0f} min", told


if __name__ == "__main__":
    typer.run(main)
