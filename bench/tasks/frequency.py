"""The frequency task: is a sine's period inside a narrow range (Table 4, Fig. 6)?"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from bench.tasks.base import Accuracy, Score, Split, TaskOptions
from bench.tasks.generated import GeneratedTask
from bench.tasks.protocol import Number, Protocol
from impls.contract import Array, Batch

DURATION_MILLISECONDS = 100.0
TARGET_PERIODS = (5.0, 6.0)
ALL_PERIODS = (1.0, 100.0)
SOLVED_ABOVE = 0.99


class FrequencyOptions(TaskOptions):
    """`sample_milliseconds`: time between samples; 1 gives 100 steps, 0.5 gives 200, the least 100,000."""

    sample_milliseconds: Number = Field(default=1.0, ge=1e-3, le=50)


class Frequency(GeneratedTask):
    """Inputs `[batch, length, 1]`: 100 ms of a sine. Class 0: period U(5, 6) ms; 1: U(1, 5) ∪ U(6, 100) ms.

    Phase shifts are uniform over a period, and each batch holds both classes in equal number; where its size is
    odd, the one that is over is of either class with equal chance.
    """

    name = "frequency"
    summary = "tell sines with a period of 5 to 6 ms from all others; generated"
    Options = FrequencyOptions
    default_protocol = Protocol(steps=100_000, evaluate_every=300, evaluation_sequences=15 * 256)
    quality_metric = "accuracy"
    loss = "cross_entropy"
    input_size = 1
    output_size = 2
    options: FrequencyOptions

    @property
    def length(self) -> int:
        """Samples in 100 ms."""
        return round(DURATION_MILLISECONDS / self.options.sample_milliseconds)

    def generate(self, draw: np.random.Generator, *, size: int) -> Batch:
        """As many sines of one class as of the other, in mixed order; of an odd number the last is of either."""
        first = int(draw.integers(2)) if size % 2 else 0  # or a batch of one would always be of class 0
        targets = draw.permutation((np.arange(size) + first) % 2).astype(np.int32)
        periods = self._periods(targets, draw.random(size))
        shifts = draw.random(size) * periods
        times = np.arange(self.length) * self.options.sample_milliseconds
        phases = (times[np.newaxis, :] + shifts[:, np.newaxis]) / periods[:, np.newaxis]
        # The fraction of a turn, in float32, is as exact as its sine needs and far cheaper than float64.
        inputs = np.sin(np.float32(2 * np.pi) * (phases - np.floor(phases)).astype(np.float32))
        return Batch(inputs=inputs[:, :, np.newaxis], targets=targets)

    @staticmethod
    def _periods(targets: Array, uniform: Array) -> Array:
        """Periods in milliseconds from classes and U(0, 1); class 1 jumps over the target range."""
        low, high = TARGET_PERIODS
        inside = low + (high - low) * uniform
        outside = ALL_PERIODS[0] + (ALL_PERIODS[1] - ALL_PERIODS[0] - (high - low)) * uniform
        outside = np.where(outside < low, outside, outside + (high - low))
        return np.where(targets == 0, inside, outside)

    def score(self, split: Split) -> Score:
        """Accuracy."""
        return Accuracy()

    def solved(self, quality: float) -> bool:
        """Accuracy over 99 % held out."""
        return quality > SOLVED_ABOVE
