"""A task and a learner whose evaluations are known beforehand, so that a record's numbers can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bench.plan.trial import Trial, build_trial
from bench.tasks.base import Score, Split, Task
from bench.tasks.protocol import Protocol
from impls.contract import Array, Batch, Evaluation, Parameters, State, StepResult

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
LENGTH = 8
EVALUATED = 6  # sequences, in batches of 4 and 2


class Mean:
    """The mean prediction."""

    def __init__(self) -> None:
        self._seen: list[Array] = []

    def add(self, batch: Batch, predictions: Array) -> None:
        """Takes them in."""
        self._seen.append(predictions)

    def quality(self) -> float:
        return float(np.concatenate(self._seen).mean())


class Known(Task):
    """Inputs `[batch, time, 1]` hold the number of the part that they are of; targets `[batch, 1]` number the rows."""

    name = "known"
    summary = "known beforehand"
    default_protocol = Protocol(steps=4, batch_size=4, evaluation_sequences=EVALUATED)
    default_units = (3,)
    quality_metric = "known"
    loss = "mean_squared_error"
    length = property(lambda self: LENGTH)
    input_size = property(lambda self: 1)
    output_size = property(lambda self: 1)
    # Real steps of each evaluated sequence; None where there is no padding.
    lengths: tuple[int, ...] | None = None

    def steps_per_epoch(self, batch_size: int) -> int:
        return 2

    def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
        return self.rows("train", np.arange(size))

    def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
        for start in range(0, sequences, size):
            yield self.rows(split, np.arange(start, min(start + size, sequences)))

    def rows(self, part: Part, rows: Array) -> Batch:
        mask = None
        if self.lengths is not None:
            mask = (np.arange(LENGTH) < np.asarray(self.lengths)[rows][:, np.newaxis]).astype(np.float32)
        inputs = np.full((len(rows), LENGTH, 1), PARTS.index(part), np.float32)
        return Batch(inputs=inputs, targets=rows[:, np.newaxis].astype(np.float32), mask=mask)

    def score(self, split: Split) -> Score:
        return Mean()

    def solved(self, quality: float) -> bool:
        return quality == 1.0


class KnownError(Known):
    """The same, where less is better."""

    higher_is_better = False


def part_of(batch: Batch) -> Part:
    """Of which part of the data a batch is."""
    (number,) = np.unique(batch.inputs)
    return PARTS[int(number)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an evaluation gives: the quality, the loss, and the first `updates` steps of every sequence updated."""

    quality: float
    loss: float = 0.5
    updates: int = LENGTH


@dataclass
class KnownLearner:
    """Its parameters are the number of steps that they were trained for; `outcomes` are its evaluations by it.

    `called` is told of each step and evaluation as it is made, `batches` keeps what they read, `rates`
    the learning rates of the steps.
    """

    outcomes: Mapping[tuple[str, int], Outcome] = field(default_factory=dict)
    train_losses: Mapping[int, float] = field(default_factory=dict)
    budget_loss: float = 0.0
    called: Callable[[str], None] = lambda name: None
    implementation: str = "kernels"
    threads: int = 1
    steps: int = 0
    batches: list[Batch] = field(default_factory=list)
    rates: list[float | None] = field(default_factory=list)

    def train_step(self, batch: Batch, *, learning_rate: float | None = None) -> StepResult:
        self.called("train_step")
        self.rates.append(learning_rate)
        self.batches.append(batch)
        self.steps += 1
        return StepResult(loss=self.train_losses.get(self.steps, 0.5), budget_loss=self.budget_loss, updates=2.0)

    def evaluate(self, batch: Batch) -> Evaluation:
        self.called("evaluate")
        self.batches.append(batch)
        outcome = self.outcomes.get((part_of(batch), self.steps), Outcome(quality=0.0))
        gates = np.zeros(batch.inputs.shape[:2], np.float32)
        gates[:, : outcome.updates] = 1
        return Evaluation(loss=outcome.loss, predictions=np.full((batch.size, 1), outcome.quality), gates=gates)

    def export_parameters(self) -> Parameters:
        return {"steps": np.asarray(self.steps)}

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        self.steps = int(parameters["steps"])

    def export_state(self) -> State:
        return {"steps": np.asarray(self.steps)}

    def load_state(self, state: Mapping[str, Array]) -> None:
        self.steps = int(state["steps"])

    def device_memory_bytes(self) -> int | None:
        return None


def outcomes(part: str, *qualities: float, updates: tuple[int, ...] = ()) -> dict[tuple[str, int], Outcome]:
    """The evaluations on a part of the data after 1, 2, … training steps."""
    counts = updates or (LENGTH,) * len(qualities)
    made = (Outcome(quality=quality, updates=count) for quality, count in zip(qualities, counts, strict=True))
    return {(part, step): outcome for step, outcome in enumerate(made, start=1)}


def known_trial(**changes: Any) -> Trial:
    return build_trial({"task": "known", "cell": "skip_lstm", "framework": "pytorch", **changes}, where="test")
