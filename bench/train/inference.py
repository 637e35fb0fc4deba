"""How long a forward pass takes after training: of a whole batch, and of one sequence alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

from bench.plan.trial import Trial
from bench.tasks.base import Task
from bench.train.clocks import MOST_PASSES, median_milliseconds
from bench.train.evaluation import evaluation_batches
from impls.contract import Batch, Learner


def inference_times(trial: Trial, task: Task, learner: Learner) -> dict[str, float]:
    """The record's milliseconds of an evaluation, with the learner's present parameters.

    Timed is the first test batch, then its first sequences, each as a batch of its own: they differ in their updates.
    """
    batch = next(evaluation_batches(trial, task, "test"))
    alone = [sequence(batch, row) for row in range(min(batch.size, MOST_PASSES))]
    return {
        "inference_milliseconds": _median_milliseconds(learner, [batch]),
        "inference_milliseconds_batch_1": _median_milliseconds(learner, alone),
    }


def sequence(batch: Batch, row: int) -> Batch:
    """One sequence of a batch, as a batch."""
    return replace(batch, **{name: array[row : row + 1] for name, array in batch.arrays().items()})


def _median_milliseconds(learner: Learner, batches: Sequence[Batch]) -> float:
    learner.evaluate(batches[0])  # it may compile
    return median_milliseconds(learner.evaluate, cycle(batches))
