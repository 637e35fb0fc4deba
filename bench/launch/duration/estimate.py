"""A guess at how long trials take, for `--dry-run` and the time left: a rough model, or an earlier record.

The model's seconds are those of a machine with nothing else to do; a short calibration says how this one compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.errors import SweepError, UserError
from bench.launch.duration.calibration import slowdown
from bench.plan.trial import Trial
from bench.records.store import Store
from bench.tasks.declarations import size, steps_per_epoch
from bench.train.flops import published_macs_per_update

# A training step costs about three forward passes, an evaluated sequence one.
PASSES_OF_TRAINING = 3.0
# The share of the calibration's slowdown that trials show: 34 trials of `quick` beside other load, where one thread
# was 7 times slower, took 4 times as long as alone, since a trial has several threads to be served.
SHOWN_BY_TRIALS = 0.5
# The constants below are of this one.
MODELLED_DEVICE = "cpu"


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What a framework and engine cost on one core, for the order of magnitude alone.

    Those of the fast engines are fitted to recorded trials that ran two side by side on two quiet cores: of `digits`
    (64 units, T = 64, batch 40) and of Table 1 (110 units, T = 50, batch 256): no estimate of a cell that skips less
    than half of the steps is off by more than a factor of 1.6. The others are of short runs.

    `start_seconds` holds compilation and files, but no imports, which trials share; `time_step_seconds` what one time
    step of a forward pass costs whatever the sizes; `macs_per_second` how fast matrix products run at large sizes.
    """

    start_seconds: float
    time_step_seconds: float
    macs_per_second: float


SPEEDS = {
    ("pytorch", "reference"): Speed(start_seconds=1.5, time_step_seconds=1.2e-4, macs_per_second=2.5e10),
    ("pytorch", "fast"): Speed(start_seconds=1.5, time_step_seconds=3.5e-6, macs_per_second=8.0e10),
    ("pytorch", "native"): Speed(start_seconds=1.5, time_step_seconds=1.5e-5, macs_per_second=2.5e10),
    ("tensorflow", "native"): Speed(start_seconds=4.0, time_step_seconds=1.5e-5, macs_per_second=4.0e10),
    ("tensorflow", "reference"): Speed(start_seconds=4.0, time_step_seconds=1.5e-5, macs_per_second=4.0e10),
    ("tensorflow", "fast"): Speed(start_seconds=4.0, time_step_seconds=1.2e-5, macs_per_second=6.0e10),
}


def estimate_seconds(trial: Trial, *, data: Path) -> float | None:
    """On a quiet machine, from the sizes alone; None where a size is unknown, its data not being here.

    Raises `SweepError` where the task says a size that nothing can be trained with.
    """
    task = trial.build_task(data=data)
    speed = SPEEDS[trial.framework, trial.engine]
    protocol = trial.protocol
    try:
        of_epoch = steps_per_epoch(task, batch_size=protocol.batch_size)
        length, input_size = size(task, "length"), size(task, "input_size")
    except SweepError:  # which no data would mend
        raise
    except UserError:
        return None
    steps = protocol.total_steps(steps_per_epoch=of_epoch)
    macs = published_macs_per_update(trial.cell, input_size=input_size, units=trial.units)
    of_overhead = length * len(trial.units) * speed.time_step_seconds
    of_products = length * _share(trial) * macs * protocol.batch_size / speed.macs_per_second
    forward = of_overhead + of_products
    evaluations = steps / protocol.evaluation_interval(steps_per_epoch=of_epoch)
    evaluated_batches = evaluations * protocol.evaluation_sequences / protocol.batch_size
    return speed.start_seconds + forward * (PASSES_OF_TRAINING * steps + evaluated_batches)


def _share(trial: Trial) -> float:
    """Of the updates, those that cost: what a gate will learn is not known before."""
    return 1.0 if trial.engine == "reference" else (1.0 - trial.p_skip) / trial.period


class Lack(StrEnum):
    """Why nothing is said of how long a trial takes."""

    DATA = "needs its data"
    TIMING = "none on a GPU yet"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a trial may take.

    Attributes:
        seconds: 0 is unknown; where a GPU lacks timing it is the model's, and says no more than how trials compare.
        lack: None where `seconds` may be told.
    """

    seconds: float
    lack: Lack | None = None


def estimates(trials: Sequence[Trial], *, store: Store, data: Path) -> dict[str, Estimate]:
    """By trial id: what a trial that differs only in its seed took, where one is recorded, else the model's.

    The model is of a CPU: on a GPU nothing is told before a trial that differs only in its seed has run there.
    """
    known_records = store.survey().records.values()
    seen = {but_for_seed(record.trial): record.total_seconds for record in known_records if record.status == "ok"}
    guesses: dict[str, Estimate] = {}
    modelled: dict[str, float] = {}
    for trial in trials:
        recorded = seen.get(but_for_seed(trial))
        if recorded is not None:
            guesses[trial.id] = Estimate(seconds=recorded)
        elif (seconds := estimate_seconds(trial, data=data)) is None:
            guesses[trial.id] = Estimate(seconds=0.0, lack=Lack.DATA)
        elif trial.device != MODELLED_DEVICE:
            guesses[trial.id] = Estimate(seconds=seconds, lack=Lack.TIMING)
        else:
            modelled[trial.id] = seconds
    if modelled:
        pace = 1.0 + SHOWN_BY_TRIALS * (slowdown() - 1.0)
        guesses |= {key: Estimate(seconds=pace * seconds) for key, seconds in modelled.items()}
    return guesses


def but_for_seed(trial: Trial) -> str:
    """The same for trials that differ in their seed alone."""
    return trial.model_copy(update={"seed": 0}).id


def groups(trial: Trial) -> tuple[str, ...]:
    """What trials have in common whose times miss their estimates alike, the widest first, as `Pace` takes them.

    These are what computes, which cell learns what with it, and all but the seed.
    """
    computes = f"{trial.framework} {trial.engine} {trial.device}"
    return computes, f"{computes} {trial.task} {trial.options} {trial.cell} {trial.units}", but_for_seed(trial)
