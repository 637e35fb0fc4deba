"""A stretch of a trial: what one process did of it, from where it started or went on to where it ended."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Stretch(BaseModel):
    """One process's share of a trial. What it did after its last checkpoint was lost, and is not counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_step: int = Field(ge=0, description="training steps done when it began")
    end_step: int = Field(ge=0, description="training steps done when it ended, or at its last checkpoint")
    seconds: float = Field(ge=0, description="the process until then, from its fork on where it was forked")
    environment: dict[str, Any] = Field(description="machine, Python and package versions")
