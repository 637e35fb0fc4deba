"""What a task is: batches, loss, quality, and when it counts as solved.

A task knows no framework and no cell. Its batches are pure functions of (task, seed, step).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from bench.errors import DataError, UserError
from bench.tasks.protocol import Protocol as TrainingProtocol
from impls.contract import Array, Batch

Split = Literal["validation", "test"]
# Which evaluation a record's numbers are of: after the last training step, or at the best validation.
Reported = Literal["last", "best_validation"]


class TaskOptions(BaseModel):
    """What a trial may choose about a task; the base has no choices."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)  # a record holds finite numbers alone


class Score(Protocol):
    """Gathers the predictions of an evaluation, batch by batch, into one number."""

    def add(self, batch: Batch, predictions: Array) -> None:
        """Takes in one evaluated batch; `predictions` are raw outputs, shaped as `Evaluation` says."""
        ...

    def quality(self) -> float:
        """The task's quality over everything taken in."""
        ...


class Accuracy:
    """Share of sequences whose largest logit is that of their class."""

    def __init__(self) -> None:
        self._right, self._seen = 0, 0

    def add(self, batch: Batch, predictions: Array) -> None:
        """Predictions `[batch, classes]` against targets `[batch]`. Raises `UserError` for other targets."""
        _check_shapes("Accuracy", batch.targets.shape, predictions.shape[:1])
        self._right += int((predictions.argmax(axis=1) == batch.targets).sum())
        self._seen += batch.size

    def quality(self) -> float:
        """Between 0 and 1."""
        return self._right / self._seen


class MeanSquaredError:
    """Mean squared difference over sequences and outputs, and over real steps where there is a target at each."""

    def __init__(self) -> None:
        self._sum, self._seen = 0.0, 0

    def add(self, batch: Batch, predictions: Array) -> None:
        """Predictions and targets of one shape, `[batch, outputs]` or `[batch, time, outputs]`.

        Raises `UserError` for two shapes.
        """
        _check_shapes("MeanSquaredError", batch.targets.shape, predictions.shape)
        difference = predictions.astype(np.float64) - batch.targets
        if batch.mask is not None and difference.ndim == 3:
            difference = difference[np.asarray(batch.mask) > 0]
        self._sum += float((difference**2).sum())
        self._seen += difference.size

    def quality(self) -> float:
        """In the targets' units squared. Raises `UserError` where no step was real."""
        if not self._seen:
            raise UserError("MeanSquaredError: no step of the held-out data is real; every split has some")
        return self._sum / self._seen


def _check_shapes(score: str, targets: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """NumPy would broadcast others, and score every sequence against every other."""
    if targets != wanted:
        raise UserError(f"{score}: targets have shape {list(targets)} where {list(wanted)} is needed")


class Task(ABC):
    """A task with its options. Cheap to build: data are read at first use.

    Class attributes:
        name: as in sweep files, records and plots.
        summary: one line for `python -m bench list`.
        Options: the pydantic model of its options.
        default_protocol, default_units: the paper's.
        quality_metric: the name of the number that `score` computes; `higher_is_better` says its direction.
        reported: the evaluation that the paper reports, of which a record's quality, updates and FLOPs are.
        loss, readout: as in `ModelSpec`.
        encoder_macs_per_step: multiply–accumulates of a frame encoder for each used step; 0 without one.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[TaskOptions]] = TaskOptions
    default_protocol: ClassVar[TrainingProtocol]
    default_units: ClassVar[tuple[int, ...]] = (110,)
    quality_metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    reported: ClassVar[Reported] = "best_validation"
    loss: ClassVar[str]
    readout: ClassVar[str] = "last"
    encoder_macs_per_step: ClassVar[float] = 0.0

    def __init__(self, options: TaskOptions, *, data: Path) -> None:
        self.options = options
        self.data = data

    @property
    @abstractmethod
    def length(self) -> int:
        """Time steps of every batch, padding included."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Features of one time step; of an embedded token where `vocabulary_size` is not 0."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Outputs of the readout."""

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens where inputs are tokens, else 0."""
        return 0

    def initial_values(self, drawn: Mapping[str, Array]) -> dict[str, Array]:
        """The drawn initial parameters; what the task supplies, such as trained embeddings, takes its place."""
        return dict(drawn)

    def data_problem(self) -> str:
        """Empty where `prepare` can go ahead: data present, generated or to be downloaded. Cheap.

        Else what is missing, where it is had, and the layout expected.
        """
        return ""

    def downloads(self) -> bool:
        """Whether `prepare` would fetch files first."""
        return False

    def download_told(self) -> str:
        """What that is, its size and where it comes from, in a few words."""
        return f"the files of {self.name}"

    @property
    def prepares(self) -> bool:
        """Whether `prepare` may write: whether the task says itself what it does."""
        return type(self).prepare is not Task.prepare

    def prepare(self) -> None:
        """Downloads and caches what training will read. Raises `DataError`. Called once, before any trial."""
        if problem := self.data_problem():
            raise DataError(problem)

    def data_fingerprint(self) -> str:
        """Of the content of the data set that is trained on; empty for tasks that generate theirs."""
        return ""

    @abstractmethod
    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches in one epoch; 1 for tasks that generate their data."""

    @abstractmethod
    def train_batch(self, *, seed: int, step: int, size: int) -> Batch:
        """The batch of training step `step`, counted from 0; a pure function of its arguments."""

    @abstractmethod
    def evaluation_batches(self, split: Split, *, size: int, sequences: int) -> Iterator[Batch]:
        """The held-out data, the same for every trial of this batch size, and of a data set for every trial.

        `sequences` is how many to generate, where generated.
        """

    @abstractmethod
    def score(self, split: Split) -> Score:
        """A fresh accumulator of the task's quality, for all batches of this split in their order."""

    def solved(self, quality: float) -> bool | None:
        """Whether held-out quality meets the paper's criterion; None for tasks without one."""
        return None
