"""Which examples of a data set a training step reads: epochs as permutations keyed by (seed, epoch)."""

from __future__ import annotations

from functools import lru_cache

from bench.errors import UserError
from bench.tasks.randomness import permutation
from impls.contract import Array


@lru_cache(maxsize=4)
def _order(examples: int, seed: int, stream: str, epoch: int) -> Array:
    return permutation(examples, seed=seed, stream=stream, epoch=epoch)


def whole_batches(task: str, *, examples: int, size: int) -> int:
    """Batches of `size` in one epoch. Raises `UserError` where not even one can be filled."""
    if size > examples:
        raise UserError(f"{task}: the batch size {size} is larger than the {examples} training examples")
    return examples // size


def epoch_rows(task: str, *, examples: int, seed: int, step: int, size: int) -> Array:
    """The `[size]` indices of the examples in training step `step`, counted from 0; pure.

    An epoch holds only whole batches; which examples it leaves out changes from epoch to epoch.
    """
    epoch, position = divmod(step, whole_batches(task, examples=examples, size=size))
    return _order(examples, seed, f"{task}/train", epoch)[position * size : (position + 1) * size]
