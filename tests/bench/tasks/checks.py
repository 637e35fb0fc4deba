"""What holds for every task's batches."""

from __future__ import annotations

import numpy as np

from bench.tasks.base import Task
from impls.contract import Batch


def same(left: Batch, right: Batch) -> bool:
    """Whether two batches hold the same arrays."""
    arrays, others = left.arrays(), right.arrays()
    return arrays.keys() == others.keys() and all(np.array_equal(arrays[name], others[name]) for name in arrays)


def check_batches(task: Task, again: Task, *, size: int) -> None:
    """Batches of equal tasks agree whatever was asked before, differ by seed and step, and have the right form."""
    third = task.train_batch(seed=1, step=3, size=size)
    assert same(again.train_batch(seed=1, step=3, size=size), third)
    task.train_batch(seed=2, step=0, size=size)
    assert same(task.train_batch(seed=1, step=3, size=size), third)
    assert not same(task.train_batch(seed=2, step=3, size=size), third)
    assert not same(task.train_batch(seed=1, step=4, size=size), third)

    batches = [third, *task.evaluation_batches("validation", size=size, sequences=size)]
    batches += task.evaluation_batches("test", size=size, sequences=size)
    for batch in batches:
        tokens = task.vocabulary_size > 0
        assert batch.inputs.dtype == (np.int32 if tokens else np.float32)
        assert batch.inputs.shape == ((batch.size, task.length) + (() if tokens else (task.input_size,)))
        assert batch.targets.dtype == (np.int32 if task.loss == "cross_entropy" else np.float32)
        if batch.mask is not None:
            assert batch.mask.shape == (batch.size, task.length)
            assert (np.diff(batch.mask, axis=1) <= 0).all(), "padding may stand only at the end"
            assert (batch.mask[:, 0] == 1).all(), "every sequence has a step"


def check_epoch(task: Task, *, size: int) -> None:
    """The batches of one epoch hold no example twice, and the next epoch has another order."""
    steps = task.steps_per_epoch(size)

    def epoch(number: int) -> list[bytes]:
        batches = (task.train_batch(seed=0, step=number * steps + step, size=size) for step in range(steps))
        return [inputs.tobytes() for batch in batches for inputs in batch.inputs]

    first, second = epoch(0), epoch(1)
    assert len(set(first)) == len(first) == steps * size
    assert first != second
