"""scikit-learn's bundled handwritten digits, pixel by pixel: small real data without a download."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bench.tasks.base import Accuracy, Score, Split
from bench.tasks.data_set import DataSetTask, Part
from bench.tasks.protocol import Protocol
from bench.tasks.randomness import permutation
from impls.contract import Array, Batch

IMAGES = 1797
SPLIT_SEED = 0
BOUNDS: dict[Part, tuple[int, int]] = {"test": (0, 400), "validation": (400, 600), "train": (600, IMAGES)}


class Digits(DataSetTask):
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
    def _images(self) -> tuple[Array, Array]:
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        order = permutation(IMAGES, seed=SPLIT_SEED, stream=f"{self.name}/split", epoch=0)
        return (images[order] / 16.0).astype(np.float32)[:, :, np.newaxis], classes[order].astype(np.int32)

    def rows(self, part: Part) -> Array:
        """Rows count the images in their mixed order."""
        start, end = BOUNDS[part]
        return np.arange(start, end)

    def batch(self, rows: Array) -> Batch:
        """Looks the images up."""
        inputs, targets = self._images
        return Batch(inputs=inputs[rows], targets=targets[rows])

    def score(self, split: Split) -> Score:
        """Accuracy."""
        return Accuracy()
