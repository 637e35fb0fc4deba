"""One pass over held-out data: quality, loss and updates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.errors import UserError
from bench.plan.trial import Trial
from bench.tasks.base import Split, Task
from bench.train.clocks import Stopwatch
from bench.train.draws import with_draws
from impls.contract import Array, Batch, Learner

# Sequences kept with their gates, for the qualitative figures.
KEPT_SEQUENCES = 16


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One pass over held-out data.

    The loss is the mean of the batches' losses by their sequences. With targets at every step a batch's is the mean
    over its real steps, so that a step among much padding weighs more than one of a fuller batch; a batch without one
    weighs nothing, and where all are such the loss is 0.
    """

    quality: float
    loss: float
    updates: Array  # [sequences]
    steps: Array  # [sequences], padding left out

    @property
    def update_ratios(self) -> Array:
        """Updates / steps of the sequences that have a step, or NaN alone where none has one: 0 / 0 is no ratio."""
        real = self.steps > 0
        return np.asarray(self.updates[real] / self.steps[real]) if real.any() else np.array([np.nan])

    def judged(self, split: Split) -> dict[str, float]:
        """What has to be a number, whatever was learned, by its name: the loss and the quality on this split."""
        return {f"{split} loss": self.loss, f"{split} quality": self.quality}

    def fields(self) -> dict[str, float]:
        """The record's fields, under their names."""
        return {
            "quality": self.quality,
            "loss": self.loss,
            "update_ratio": float(self.update_ratios.mean()),
            "update_ratio_std": float(self.update_ratios.std()),
            "updates": float(self.updates.mean()),
            "updates_std": float(self.updates.std()),
        }

    def fields_of_both(self, prefix: str) -> dict[str, float]:
        """The fields that a record keeps of either evaluation, such as `final_quality`."""
        names = ("quality", "loss", "update_ratio", "updates")
        return {f"{prefix}_{name}": value for name, value in self.fields().items() if name in names}


def evaluation_batches(trial: Trial, task: Task, split: Split) -> Iterator[Batch]:
    """The held-out batches in their order, draws included; the same at every call.

    Raises `UserError` for one without a sequence or of another length than the task's, and where there is none.
    """
    protocol = trial.protocol
    batches = task.evaluation_batches(split, size=protocol.batch_size, sequences=protocol.evaluation_sequences)
    number = -1
    for number, batch in enumerate(batches):
        if not batch.size:
            raise UserError(f"task {task.name}: batch {number + 1} of its {split} data has no sequences; leave it out")
        check_length(task, batch, which=f"batch {number + 1} of its {split} data")
        yield with_draws(batch, trial, stream=split, step=number)
    if number < 0:
        raise UserError(f"task {task.name}: its {split} data have no sequences; every task has some")


def evaluate(
    trial: Trial,
    task: Task,
    learner: Learner,
    split: Split,
    *,
    clock: Stopwatch,
    kept: dict[str, list[Array]] | None = None,
) -> Evaluated:
    """One pass over held-out data.

    Args:
        trial, task, learner: of which, on what, by whom.
        split: which held-out data.
        clock: runs while the learner does, and stands while batches are made and scored.
        kept: gathers the first sequences with their gates and predictions.
    """
    score = task.score(split)
    losses, weights, updates, steps = [], [], [], []
    for batch in evaluation_batches(trial, task, split):
        with clock.running():
            result = learner.evaluate(batch)
        score.add(batch, result.predictions)
        losses.append(result.loss)
        updates.append(result.gates.sum(axis=1, dtype=np.float64))
        steps.append(real_steps(batch))
        weights.append(batch.size if task.readout == "last" or steps[-1].any() else 0)
        if kept is not None and sum(map(len, kept.get("gates", []))) < KEPT_SEQUENCES:
            examples = {"gates": result.gates, "predictions": result.predictions}
            examples |= {"inputs": batch.inputs, "targets": batch.targets}
            if batch.mask is not None:
                examples["mask"] = batch.mask
            for name, array in examples.items():
                kept.setdefault(name, []).append(array)
    return Evaluated(
        quality=float(score.quality()),  # a checkpoint holds none of NumPy's numbers
        loss=float(np.average(losses, weights=weights)) if any(weights) else 0.0,
        updates=np.concatenate(updates),
        steps=np.concatenate(steps),
    )


def check_length(task: Task, batch: Batch, *, which: str) -> None:
    """Raises `UserError` unless a batch has as many steps as the task tells, of which records tell and count work."""
    steps = batch.inputs.shape[1]
    if steps != task.length:
        raise UserError(
            f"task {task.name}: {which} has {steps} steps where its length is {task.length}; "
            "pad or cut sequences to it, or tell another"
        )


def real_steps(batch: Batch) -> Array:
    """Steps of each sequence without padding, `[batch]`."""
    if batch.mask is None:
        return np.full(batch.size, batch.inputs.shape[1], np.float64)
    return np.asarray(batch.mask.sum(axis=1, dtype=np.float64))
