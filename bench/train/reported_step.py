"""How long a training step takes at the parameters that a trial reports: the update ratio drifts while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from bench.train.clocks import median_milliseconds
from impls.contract import Batch, Learner


def reported_step_milliseconds(learner: Learner, batches: Sequence[Batch]) -> float:
    """The median training step at the learner's present parameters.

    The steps have a learning rate of 0, so that they do all the work and leave the parameters where they are. Adam's
    moments do change: the learner is not to be trained on.
    """

    def step(batch: Batch) -> None:
        learner.train_step(batch, learning_rate=0.0)

    step(batches[0])  # after evaluations, caches are cold
    return median_milliseconds(step, cycle(batches))
