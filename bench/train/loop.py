"""The training loop: batch after batch, evaluated at its interval, to the end of the protocol."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing

from bench.errors import UserError
from bench.machine.neighbours import Neighbours
from bench.plan.trial import Trial
from bench.tasks.base import Task
from bench.train.draws import with_draws
from bench.train.evaluation import check_length, evaluate, real_steps
from bench.train.events import Events
from bench.train.gathered import Training, check_finite, note_evaluation, write_so_far
from bench.train.prefetch import prefetch
from bench.train.progress import Life, Progress
from bench.train.resumption import Resumption
from impls.contract import Array, Batch, Learner
from impls.parameters import checksum as checksum_of

# Batches whose contents enter a record's checksum.
CHECKED_BATCHES = 3
# Seconds between progress messages and between looks at what else runs, and training steps between scalars sent to
# TensorBoard.
PROGRESS_SECONDS = 0.5
LOOK_SECONDS = 1.0
TENSORBOARD_STEPS = 10

Report = Callable[[Progress], None]
Alive = Callable[[Life], None]


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
            check_finite({"training loss": result.loss, "budget loss": result.budget_loss}, step=step)
            training.recent_losses.append(result.loss)
            real = float(real_steps(batch).mean())
            update_ratio = result.updates / real if real else None  # a batch of padding alone has none
            if step % TENSORBOARD_STEPS == 0 or step == steps:
                events.add_scalar("train/loss", result.loss, step)
                events.add_scalar("train/budget_loss", result.budget_loss, step)
                if update_ratio is not None:
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
                training.note_memory(learner.device_memory_bytes())
                resumption.write(training, learner, step=step)
                alive(Life(computing=False))
            if report is not None and (step == steps or time.monotonic() - told > PROGRESS_SECONDS):
                told = time.monotonic()
                quality = training.curve[-1]["quality"] if training.curve else None
                report(Progress(step=step, steps=steps, loss=result.loss, quality=quality, update_ratio=update_ratio))


def train_batch(trial: Trial, task: Task, step: int) -> Batch:
    """The whole batch of a training step, counted from 0; a pure function of its arguments.

    Raises `UserError` for one of another size than the trial's, since speed is told in sequences of whole batches, and
    for one of another length than the task's.
    """
    size = trial.protocol.batch_size
    batch = task.train_batch(seed=trial.seed, step=step, size=size)
    if batch.size != size:
        raise UserError(
            f"task {task.name}: training batch {step + 1} has {batch.size} sequences where {size} are needed"
        )
    check_length(task, batch, which=f"training batch {step + 1}")
    return with_draws(batch, trial, stream="train", step=step)


def batches_checksum(trial: Trial, task: Task) -> str:
    """Of the first training batches, draws included."""
    arrays: dict[str, Array] = {}
    for step in range(CHECKED_BATCHES):
        batch = train_batch(trial, task, step)
        arrays |= {f"{step}/{name}": array for name, array in batch.arrays().items()}
    return checksum_of(arrays)
