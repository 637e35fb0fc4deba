"""A task over a data set with files: examples by row, epochs as permutations, three fixed parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

from bench.tasks.base import Split, Task
from bench.tasks.epochs import epoch_rows, whole_batches
from impls.contract import Array, Batch

Part = Literal["train", Split]


class DataSetTask(Task):
    """A task that says which rows belong to a part and makes a batch of rows; the rest follows."""

    @abstractmethod
    def rows(self, part: Part) -> Array:
        """`[examples]` row numbers of a part, in a fixed order; the same for every trial with these options."""

    @abstractmethod
    def batch(self, rows: Array) -> Batch:
        """The examples of these rows, in this order; a pure function that reads no more than it returns."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches of the training part. Raises `UserError` where there is none."""
        return whole_batches(self.name, examples=len(self.rows("train")), size=batch_size)

    def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
        """The batch of one training step, from the permutation of its epoch."""
        rows = self.rows("train")
        return self.batch(rows[epoch_rows(self.name, examples=len(rows), seed=seed, step=step, size=size)])

    def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
        """All of the split, in the order of its rows."""
        rows = self.rows(split)
        for start in range(0, len(rows), size):
            yield self.batch(rows[start : start + size])
