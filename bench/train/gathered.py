"""What training gathers as it goes: clocks, the curve, the best evaluation so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from bench.machine.neighbours import Neighbours
from bench.records.store import write_arrays, write_curve
from bench.tasks.base import Task
from bench.train.clocks import Stopwatch, process_peak_memory_bytes
from bench.train.evaluation import Evaluated
from impls.contract import Learner, Parameters


class DivergedError(Exception):
    """A loss, or the quality, stopped being a finite number."""


def check_finite(numbers: Mapping[str, float], *, step: int) -> None:
    """Raises `DivergedError` for the first that is not, by its name; `step` training steps led there."""
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise DivergedError(f"the {name} became {number} at step {step}")


@dataclass
class Training:
    """What training gathers as it goes; a record can be made of it at any time."""

    steps_per_epoch: int
    first_step: Stopwatch = field(default_factory=Stopwatch)
    later_steps: Stopwatch = field(default_factory=Stopwatch)
    waiting: Stopwatch = field(default_factory=Stopwatch)  # for batches
    evaluation: Stopwatch = field(default_factory=Stopwatch)
    batch_seconds: list[float] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    best: Evaluated | None = None
    best_step: int = 0
    best_parameters: Parameters | None = None
    beside: int | None = 0  # the most trials that were seen to run at the same time; None where that was not seen
    processor_load: float = 0.0  # the most before any of the trial's processes
    peak_memory_bytes: int = 0  # the most in any of them
    # Since the last row of the curve.
    recent_losses: list[float] = field(default_factory=list)

    def look(self, neighbours: Neighbours) -> None:
        """Notes how many other trials run now. One that was seen was there, whatever is not seen at other times."""
        now = neighbours.count()
        if now:
            self.beside = max(self.beside or 0, now)
        elif now is None and not self.beside:
            self.beside = None

    def note_memory(self, of_device: int | None) -> None:
        """Notes the most memory so far: of the device where it tells, else of this process."""
        now = process_peak_memory_bytes() if of_device is None else of_device
        self.peak_memory_bytes = max(self.peak_memory_bytes, now)

    def best_so_far(self) -> dict[str, Any]:
        """The record's fields of the best validation; none before the first."""
        if self.best is None:
            return {}
        return {"best_step": self.best_step, "validation_quality": self.best.quality}

    @property
    def steps(self) -> int:
        """Training steps done."""
        return len(self.first_step.laps) + len(self.later_steps.laps)

    def step_seconds(self, starts: Sequence[int]) -> list[float]:
        """The seconds of every step in order; a process began at each of these numbers of steps done."""
        began, first, later = set(starts), iter(self.first_step.laps), iter(self.later_steps.laps)
        return [next(first if step in began else later) for step in range(self.steps)]

    def times(self, *, batch_size: int, starts: Sequence[int]) -> dict[str, Any]:
        """The record's clocks; a process began at each of these numbers of steps done."""
        # The first step of a process compiles, and its batch is waited for: without a later one nothing is told.
        step = median(self.later_steps.laps) if self.later_steps.laps else None
        waits = [lap for done, lap in enumerate(self.waiting.laps) if done not in starts]
        return {
            "steps": self.steps,
            "steps_per_epoch": self.steps_per_epoch,
            "compile_seconds": self.first_step.seconds,
            "train_seconds": self.later_steps.seconds,
            "evaluate_seconds": self.evaluation.seconds,
            "step_milliseconds": None if step is None else 1e3 * step,
            "sequences_per_second": None if step is None else batch_size / step,
            "wait_milliseconds": 1e3 * fmean(waits) if waits else None,
            "batch_milliseconds": 1e3 * median(self.batch_seconds) if self.batch_seconds else None,
        }


def note_evaluation(training: Training, evaluated: Evaluated, *, task: Task, learner: Learner) -> None:
    """Adds a row to the curve, and keeps the parameters where they are the best so far."""
    check_finite(evaluated.judged("validation"), step=training.steps)
    training.curve.append(
        {
            "step": training.steps,
            "epoch": training.steps / training.steps_per_epoch,
            "train_seconds": training.first_step.seconds + training.later_steps.seconds,
            "train_loss": float(np.mean(training.recent_losses)),
            **evaluated.fields(),
        }
    )
    training.recent_losses.clear()
    if training.best is None or better(evaluated, training.best, task=task):
        training.best = evaluated
        training.best_step = training.steps
        training.best_parameters = learner.export_parameters()


def better(one: Evaluated, other: Evaluated, *, task: Task) -> bool:
    """Whether one evaluation is better than another: by quality, and with the same quality by fewer updates."""
    sign = 1.0 if task.higher_is_better else -1.0
    if one.quality != other.quality:
        return sign * one.quality > sign * other.quality
    return float(one.updates.mean()) < float(other.updates.mean())


def write_so_far(training: Training, *, folder: Path, new_best: bool) -> None:
    """Writes the curve and, where they are new, the best parameters: what a trial leaves however it ends.

    Both are in the checkpoint too, which outlives the machine: whoever goes on from it writes them again.
    """
    write_curve(folder / "curve.csv", training.curve, durable=False)
    if new_best and training.best_parameters is not None:
        write_arrays(folder / "best.npz", training.best_parameters, durable=False)
