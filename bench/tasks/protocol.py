"""How a trial is trained: length, batch size, optimizer, learning rate and evaluation."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from impls.errors import nearest

# What is counted: no more than what products of a few counts hold as a float.
Count = Annotated[int, Field(strict=True, le=10**9)]
# What is measured: whole numbers too, but neither true nor text.
Number = Annotated[float, Field(strict=True)]
LARGEST = 1e9  # of a norm: far from what float32 cannot hold, its square too
SCHEDULES = ("constant", "linear", "cosine")


class Protocol(BaseModel):
    """One training protocol. Each task has the paper's as its default; sweeps override single fields.

    Exactly one of `steps` and `epochs` is set. `evaluate_every` counts steps, or epochs where the length is given
    in epochs; whoever gives a length in the other unit than the task's gives it too. `evaluation_sequences` is the
    number of held-out sequences that a task generates for each evaluation; data sets with files use all they hold
    out. `clip_norm = 0` turns clipping off. `learning_rate_schedule` says how the rate falls from `learning_rate`;
    `learning_rate_of` has the formulas.
    """

    # Strict: a value of another kind is a mistake, and none to be made to fit. A record holds finite numbers alone.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    steps: Count | None = Field(default=None, ge=1)
    epochs: Count | None = Field(default=None, ge=1)
    batch_size: Count = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    learning_rate_schedule: str = "constant"
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    clip_norm: float = Field(default=1.0, ge=0)
    evaluate_every: Count = Field(default=1, ge=1)
    evaluation_sequences: Count = Field(default=3840, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @field_validator("learning_rate_schedule")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SCHEDULES:
            raise ValueError(f"not one of {', '.join(SCHEDULES)}{nearest(value, SCHEDULES)}")
        return value

    @field_validator("clip_norm")
    @classmethod
    def _clips(cls, value: float) -> float:
        if value > LARGEST:
            raise ValueError(f"more than {LARGEST:g} clips nothing; 0 turns clipping off")
        return value

    @model_validator(mode="after")
    def _one_length(self) -> Protocol:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give exactly one of steps and epochs")
        return self

    def total_steps(self, *, steps_per_epoch: int) -> int:
        """Training steps in all; `steps_per_epoch` is the task's at this batch size."""
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch

    def evaluation_interval(self, *, steps_per_epoch: int) -> int:
        """Training steps between evaluations."""
        return self.evaluate_every * (1 if self.steps is not None else steps_per_epoch)

    def learning_rate_of(self, step: int, *, steps_per_epoch: int) -> float:
        """The learning rate of training step `step`, counted from 0; a pure function of the protocol and the step.

        With `α = learning_rate` and `x = step / (total steps − 1)`, which is 0 at the first step and 1 at the last:
        `constant` is `α`, `linear` is `α (1 − x)`, `cosine` is `α (1 + cos(π x)) / 2`. A lone step has the whole rate.
        """
        done = step / max(1, self.total_steps(steps_per_epoch=steps_per_epoch) - 1)
        shares = {"constant": 1.0, "linear": 1.0 - done, "cosine": (1.0 + math.cos(math.pi * done)) / 2.0}
        return self.learning_rate * shares[self.learning_rate_schedule]
