"""Runs one trial: train, evaluate, measure, record."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from bench.machine.environment import environment, processor_load
from bench.machine.neighbours import Neighbours
from bench.plan.trial import Trial
from bench.records.record import Record, identity
from bench.records.store import EVENTS, SO_FAR, Store, write_arrays, write_curve
from bench.tasks import DEFAULT_DATA
from bench.tasks.base import Reported, Task
from bench.train.clocks import Stopwatch, process_peak_memory_bytes
from bench.train.conditions import conditions
from bench.train.draws import with_draws
from bench.train.evaluation import KEPT_SEQUENCES, Evaluated, evaluate, real_steps
from bench.train.events import Events
from bench.train.flops import published_flops
from bench.train.inference import inference_times
from bench.train.prefetch import prefetch
from bench.train.progress import Life, Progress
from bench.train.reported_step import reported_step_milliseconds
from bench.train.resumption import Resumption
from impls.contract import Array, Batch, Learner, Parameters, build_learner
from impls.parameters import checksum as checksum_of
from impls.parameters import initial_parameters
from impls.work import work_macs

# Batches whose contents enter a record's checksum.
CHECKED_BATCHES = 3
# Seconds between progress messages and between looks at what else runs, and training steps between scalars sent to
# TensorBoard.
PROGRESS_SECONDS = 0.5
LOOK_SECONDS = 1.0
TENSORBOARD_STEPS = 10

Report = Callable[[Progress], None]
Alive = Callable[[Life], None]


class DivergedError(Exception):
    """The loss stopped being a finite number."""


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
    # Since the last row of the curve.
    recent_losses: list[float] = field(default_factory=list)

    def look(self, neighbours: Neighbours) -> None:
        """Notes how many other trials run now. One that was seen was there, whatever is not seen at other times."""
        now = neighbours.count()
        if now:
            self.beside = max(self.beside or 0, now)
        elif now is None and not self.beside:
            self.beside = None

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
        laps = self.later_steps.laps or self.first_step.laps
        step = median(laps) if laps else None
        waits = [lap for done, lap in enumerate(self.waiting.laps) if done not in starts] or self.waiting.laps
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


def run_trial(
    trial: Trial,
    *,
    store: Store,
    data: Path = DEFAULT_DATA,
    threads: int = 0,
    report: Report | None = None,
    alive: Alive = lambda life: None,
    started: float | None = None,
    import_seconds: float | None = None,
) -> Record:
    """Trains and evaluates a trial, writes everything that it leaves, and returns its record.

    A loss that is not finite ends the trial with `status = "diverged"`. Any other error is the caller's to record.
    A trial that was stopped goes on from its newest checkpoint in the store's folder, where that was written under the
    same conditions; checkpoints go once the trial has a record that will not be run again.

    Args:
        trial: what to run.
        store: where to write.
        data: the folder of data sets.
        threads: of the framework; 0 leaves its default.
        report: called with the trial's progress now and then.
        alive: called where it shows life otherwise; until the first call it builds and compiles.
        started: `time.perf_counter()` when the trial's process began, so that what it imports is counted.
        import_seconds: what was imported before the process was forked took this long; None where nothing was.
    """
    started = time.perf_counter() if started is None else started
    load = processor_load()
    folder = store.folder_of(trial.id)
    folder.mkdir(parents=True, exist_ok=True)
    task = trial.build_task(data=data)
    protocol = trial.protocol
    training = Training(steps_per_epoch=task.steps_per_epoch(protocol.batch_size))

    model = trial.model_spec(task)
    parameters = task.initial_values(initial_parameters(model, seed=trial.seed))
    learner = build_learner(
        trial.framework,
        model=model,
        optimizer=trial.optimizer_spec(),
        parameters=parameters,
        engine=trial.engine,
        device=trial.device,
        threads=threads,
    )
    facts: dict[str, Any] = identity(trial) | {
        "implementation": learner.implementation,
        "threads": learner.threads,
        "parameters_checksum": checksum_of(parameters),
        "batches_checksum": batches_checksum(trial, task),
        "data_fingerprint": task.data_fingerprint(),
        "processor_load": load,
        "import_seconds": import_seconds,
        "environment": environment(threads=threads, device=trial.device),
    }
    under = conditions(
        threads=learner.threads,
        checksums=f"{facts['parameters_checksum']} {facts['batches_checksum']}",
        card=facts["environment"].get("gpu", ""),
    )
    alive(Life(computing=True, conditions=under))
    resumption = Resumption(
        folder,
        trial_id=trial.id,
        conditions=under,
        environment=facts["environment"],
        started=started,
    )
    if resumption.resume(training, learner):
        write_so_far(training, folder=folder, new_best=True)
    else:
        shutil.rmtree(folder / EVENTS, ignore_errors=True)
        for name in SO_FAR:
            (folder / name).unlink(missing_ok=True)
    outcome: dict[str, Any] = {"status": "ok"}
    # Events of steps that are done again are taken back.
    purge_step = training.steps + 1 if training.steps else None
    with Events(folder / EVENTS, purge_step=purge_step) as events, Neighbours() as neighbours:
        training.look(neighbours)
        try:
            train(
                trial,
                task,
                learner,
                training,
                events=events,
                resumption=resumption,
                neighbours=neighbours,
                report=report,
                alive=alive,
            )
            alive(Life(computing=True))
            outcome |= final_results(trial, task, learner, training, folder=folder)
            outcome |= inference_times(trial, task, learner)
            batches = [train_batch(trial, task, step) for step in range(CHECKED_BATCHES)]
            outcome["reported_step_milliseconds"] = reported_step_milliseconds(learner, batches)
        except DivergedError as error:
            outcome |= {"status": "diverged", "error": str(error)}
        training.look(neighbours)

    write_curve(folder / "curve.csv", training.curve)
    stretches = resumption.stretches(training.steps)
    starts = [stretch.start_step for stretch in stretches]
    write_arrays(
        folder / "steps.npz",
        {
            "step_milliseconds": 1e3 * np.asarray(training.step_seconds(starts)),
            "wait_milliseconds": 1e3 * np.asarray(training.waiting.laps),
            "batch_milliseconds": 1e3 * np.asarray(training.batch_seconds),
        },
    )
    memory = learner.device_memory_bytes()
    record = Record(
        **facts,
        **outcome,
        **training.times(batch_size=protocol.batch_size, starts=starts),
        beside=training.beside,
        peak_memory_bytes=process_peak_memory_bytes() if memory is None else memory,
        stretches=stretches,
        total_seconds=sum(stretch.seconds for stretch in stretches),
    )
    resumption.end(store.write(record).parent)
    return record


def train_batch(trial: Trial, task: Task, step: int) -> Batch:
    """The whole batch of a training step, counted from 0; a pure function of its arguments."""
    batch = task.train_batch(seed=trial.seed, step=step, size=trial.protocol.batch_size)
    return with_draws(batch, trial, stream="train", step=step)


def batches_checksum(trial: Trial, task: Task) -> str:
    """Of the first training batches, draws included."""
    arrays: dict[str, Array] = {}
    for step in range(CHECKED_BATCHES):
        batch = train_batch(trial, task, step)
        arrays |= {f"{step}/{name}": array for name, array in batch.arrays().items()}
    return checksum_of(arrays)


def train(
    trial: Trial,
    task: Task,
    learner: Learner,
    training: Training,
    *,
    events: Events,
    resumption: Resumption,
    neighbours: Neighbours,
    report: Report | None,
    alive: Alive,
) -> None:
    """Trains to the end of the protocol, evaluating on validation data at its interval and after the last step.

    Goes on after the steps that are done. A checkpoint follows each evaluation, and is never older than
    `INTERVAL_SECONDS`.
    """
    protocol = trial.protocol
    steps = protocol.total_steps(steps_per_epoch=training.steps_per_epoch)
    interval = protocol.evaluation_interval(steps_per_epoch=training.steps_per_epoch)
    done = training.steps
    told = looked = -math.inf
    making = prefetch(lambda step: train_batch(trial, task, step), first=done, end=steps)
    with closing(making) as batches:
        for step in range(done + 1, steps + 1):
            with training.waiting.running():
                batch, seconds = next(batches)
            training.batch_seconds.append(seconds)
            rate = protocol.learning_rate_of(step - 1, steps_per_epoch=training.steps_per_epoch)
            # The first step of a process traces and compiles.
            with (training.first_step if step == done + 1 else training.later_steps).running():
                result = learner.train_step(batch, learning_rate=rate)
            if step == done + 1:
                alive(Life(computing=False))
            if not math.isfinite(result.loss + result.budget_loss):
                raise DivergedError(f"the training loss became {result.loss} at step {step}")
            training.recent_losses.append(result.loss)
            update_ratio = result.updates / float(real_steps(batch).mean())
            if step % TENSORBOARD_STEPS == 0 or step == steps:
                events.add_scalar("train/loss", result.loss, step)
                events.add_scalar("train/budget_loss", result.budget_loss, step)
                events.add_scalar("train/update_ratio", update_ratio, step)
                events.add_scalar("train/learning_rate", rate, step)

            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                training.look(neighbours)
            evaluates = step % interval == 0 or step == steps
            if evaluates:
                alive(Life(computing=True))
                evaluated = evaluate(trial, task, learner, "validation", clock=training.evaluation)
                note_evaluation(training, evaluated, task=task, learner=learner)
                write_so_far(training, folder=resumption.folder, new_best=training.best_step == step)
                for name, value in evaluated.fields().items():
                    events.add_scalar(f"validation/{name}", value, step)
            if evaluates or resumption.due():
                events.flush()
                resumption.write(training, learner, step=step)
                alive(Life(computing=False))
            if report is not None and (step == steps or time.monotonic() - told > PROGRESS_SECONDS):
                told = time.monotonic()
                quality = training.curve[-1]["quality"] if training.curve else None
                report(Progress(step=step, steps=steps, loss=result.loss, quality=quality, update_ratio=update_ratio))


def write_so_far(training: Training, *, folder: Path, new_best: bool) -> None:
    """Writes the curve and, where they are new, the best parameters: what a trial leaves however it ends."""
    write_curve(folder / "curve.csv", training.curve)
    if new_best and training.best_parameters is not None:
        write_arrays(folder / "best.npz", training.best_parameters)


def note_evaluation(training: Training, evaluated: Evaluated, *, task: Task, learner: Learner) -> None:
    """Adds a row to the curve, and keeps the parameters where they are the best so far."""
    if not math.isfinite(evaluated.quality) or not math.isfinite(evaluated.loss):
        raise DivergedError(f"the validation loss became {evaluated.loss} at step {training.steps}")
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


def final_results(trial: Trial, task: Task, learner: Learner, training: Training, *, folder: Path) -> dict[str, Any]:
    """Test results after the last step and at the best validation; writes both sets of parameters and some gates.

    The plain fields, the work and the gates are those of the evaluation that the task reports; the learner is left with
    its parameters.
    """
    assert training.best is not None
    assert training.best_parameters is not None
    parameters: dict[Reported, Parameters] = {
        "last": learner.export_parameters(),
        "best_validation": training.best_parameters,
    }
    write_arrays(folder / "final.npz", parameters["last"])
    write_arrays(folder / "best.npz", parameters["best_validation"])
    tested: dict[Reported, Evaluated] = {}
    for evaluation in sorted(parameters, key=lambda name: name == task.reported):  # the reported one last
        kept: dict[str, list[Array]] = {}
        learner.load_parameters(parameters[evaluation])
        tested[evaluation] = evaluate(trial, task, learner, "test", clock=training.evaluation, kept=kept)
    reported = tested[task.reported]
    write_arrays(
        folder / "gates.npz",
        {name: np.concatenate(arrays)[:KEPT_SEQUENCES] for name, arrays in kept.items()},
    )
    fields: dict[str, Any] = reported.fields()
    return {
        **fields,
        "solved": task.solved(reported.quality),
        "validation_quality": training.best.quality,
        "best_step": training.best_step,
        **tested["best_validation"].fields_of_both("best"),
        **tested["last"].fields_of_both("final"),
        **work(
            trial,
            task,
            updates=fields["updates"],
            steps=float(reported.steps.mean()),
            implementation=learner.implementation,
        ),
    }


def work(trial: Trial, task: Task, *, updates: float, steps: float, implementation: str) -> Mapping[str, float]:
    """The published count, and the multiply–accumulates that the implementation really did in the same products."""
    cell = trial.model_spec(task).cell
    return {
        "flops_per_sequence": published_flops(
            trial.cell,
            input_size=task.input_size,
            units=trial.units,
            updates=updates,
            encoder_macs_per_step=task.encoder_macs_per_step,
        ),
        "work_per_sequence": work_macs(cell, updates_per_sequence=updates, steps=steps, implementation=implementation),
    }
