"""Where a running trial is: what it tells the process that started it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The step done last, of how many; its loss and update ratio; the latest validation quality."""

    step: int
    steps: int
    loss: float | None = None
    quality: float | None = None
    update_ratio: float | None = None
