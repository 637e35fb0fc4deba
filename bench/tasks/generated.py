"""A task without files: every batch is drawn anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np

from bench.tasks.base import Split, Task
from bench.tasks.randomness import generator
from impls.contract import Batch


class GeneratedTask(Task):
    """A task that says how to draw sequences; the rest follows.

    New data cannot be overfitted, so that the last step is what training came to.
    """

    reported = "last"

    @abstractmethod
    def generate(self, draw: np.random.Generator, *, size: int) -> Batch:
        """A batch of `size` sequences; all its randomness comes from `draw`."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Every batch is new."""
        return 1

    def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
        """The batch of one training step."""
        return self.generate(generator(seed=seed, stream=f"{self.name}/train", step=step), size=size)

    def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
        """Freshly drawn sequences, the same for every trial of this batch size: each batch is drawn on its own."""
        for step, start in enumerate(range(0, sequences, size)):
            draw = generator(seed=0, stream=f"{self.name}/{split}", step=step)
            yield self.generate(draw, size=min(size, sequences - start))
