"""Where a running trial is: what it tells the process that started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The step done last, of how many; its loss and update ratio; the latest validation quality."""

    step: int
    steps: int
    loss: float | None = None
    quality: float | None = None
    update_ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class Life:
    """A sign of life beside progress.

    Attributes:
        computing: what comes now may take long and cannot show life itself, such as compilation or an evaluation: as
            long as the process computes, it lives.
        conditions: what a checkpoint must share to be one of this run of the trial, told once they are known.
        slow_answers: how often its disk has taken its time, and answered.
    """

    computing: bool
    conditions: Mapping[str, str] | None = None
    slow_answers: int = 0
