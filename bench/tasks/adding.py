"""The adding task: sum the two marked values of a sequence (Table 1, Fig. 5)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from bench.tasks.base import MeanSquaredError, Score, Split, TaskOptions
from bench.tasks.generated import GeneratedTask
from bench.tasks.protocol import Count, Protocol
from impls.contract import Array, Batch

# The sum of two independent U(−0.5, 0.5) has variance 2/12; solved is two orders of magnitude below it.
TARGET_VARIANCE = 1 / 6
SOLVED_BELOW = TARGET_VARIANCE / 100


class AddingOptions(TaskOptions):
    """`length`: time steps of a sequence."""

    length: Count = Field(default=50, ge=2)


class Adding(GeneratedTask):
    """Inputs `[batch, length, 2]`: a value U(−0.5, 0.5) and a marker. Target `[batch, 1]`: the marked sum.

    One marker falls in the first tenth of the sequence, the other in its last half.
    """

    name = "adding"
    summary = "sum the two marked values of a sequence; generated"
    Options = AddingOptions
    default_protocol = Protocol(steps=100_000, evaluate_every=300, evaluation_sequences=15 * 256)
    quality_metric = "mean_squared_error"
    higher_is_better = False
    loss = "mean_squared_error"
    input_size = 2
    output_size = 1
    options: AddingOptions

    @property
    def length(self) -> int:
        """Time steps of a sequence."""
        return self.options.length

    def generate(self, draw: np.random.Generator, *, size: int) -> Batch:
        """Values, markers and their sums."""
        inputs = np.zeros((size, self.length, 2), np.float32)
        inputs[:, :, 0] = draw.random((size, self.length), dtype=np.float32) - 0.5
        rows = np.arange(size)
        first = draw.integers(0, max(1, self.length // 10), size)
        second = draw.integers(self.length - self.length // 2, self.length, size)
        inputs[rows, first, 1] = 1.0
        inputs[rows, second, 1] = 1.0
        targets: Array = inputs[rows, first, :1] + inputs[rows, second, :1]
        return Batch(inputs=inputs, targets=targets)

    def score(self, split: Split) -> Score:
        """Mean squared error."""
        return MeanSquaredError()

    def solved(self, quality: float) -> bool:
        """Error two orders of magnitude below the targets' variance."""
        return quality <= SOLVED_BELOW
