"""scikit-learn's bundled handwritten digits, pixel by pixel: small real data without a download."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from bench.protocol import Protocol
from bench.randomness import permutation
from bench.tasks.base import Accuracy, Score, Split, Task
from bench.tasks.epochs import epoch_rows
from impls.contract import Array, Batch

IMAGES = 1797
VALIDATION_IMAGES = 200
TEST_IMAGES = 400
SPLIT_SEED = 0


class Digits(Task):
    """Inputs `[batch, 64, 1]`: the 8 × 8 pixels of a digit in reading order, scaled to [0, 1]; ten classes.

    The split is fixed: 1,197 images to train on, 200 for validation, 400 for the test.
    """

    name = "digits"
    summary = "8 × 8 handwritten digits pixel by pixel; bundled with scikit-learn"
    default_protocol = Protocol(epochs=100, batch_size=64, learning_rate=1e-3, evaluate_every=5)
    default_units = (64,)
    quality_metric = "accuracy"
    loss = "cross_entropy"
    input_size = 1
    output_size = 10
    length = 64

    @cached_property
    def _splits(self) -> dict[str, tuple[Array, Array]]:
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        order = permutation(IMAGES, seed=SPLIT_SEED, stream=f"{self.name}/split", epoch=0)
        inputs = (images[order] / 16.0).astype(np.float32)[:, :, np.newaxis]
        targets = classes[order].astype(np.int32)
        ends = {"test": TEST_IMAGES, "validation": TEST_IMAGES + VALIDATION_IMAGES, "train": IMAGES}
        starts = [0, *ends.values()]
        return {
            split: (inputs[start:end], targets[start:end])
            for start, (split, end) in zip(starts, ends.items(), strict=False)
        }

    def steps_per_epoch(self, batch_size: int) -> int:
        """Whole batches of the training images."""
        return (IMAGES - TEST_IMAGES - VALIDATION_IMAGES) // batch_size

    def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
        """The batch of one training step, from the permutation of its epoch."""
        inputs, targets = self._splits["train"]
        rows = epoch_rows(self.name, examples=len(targets), seed=seed, step=step, size=size)
        return Batch(inputs=inputs[rows], targets=targets[rows])

    def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
        """All images of the split, in a fixed order."""
        inputs, targets = self._splits[split]
        for start in range(0, len(targets), size):
            yield Batch(inputs=inputs[start : start + size], targets=targets[start : start + size])

    def score(self, split: Split) -> Score:
        """Accuracy."""
        return Accuracy()
