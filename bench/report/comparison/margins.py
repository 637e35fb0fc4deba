"""The margins of equivalence, from `margins.toml`, and with them the scale on which a metric is compared."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

FILE = Path(__file__).parent / "margins.toml"
Factor = Annotated[float, Field(gt=1)]


class BetweenEngines(BaseModel):
    """`ratio`: up to how many times those of two engines the differences of frameworks count as no larger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: Factor


class Margins(BaseModel):
    """What counts as equivalent.

    Attributes:
        difference: the largest |right − left|, by metric.
        ratio: the largest right / left, either way, by metric; above 1.
        between_engines: the bound for differences of frameworks against those of engines.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    difference: dict[str, PositiveFloat]
    ratio: dict[str, Factor]
    between_engines: BetweenEngines

    def is_ratio(self, metric: str) -> bool:
        """Whether a metric is compared by its ratio; by its difference otherwise."""
        return metric in self.ratio

    def of(self, metric: str) -> float:
        """The margin on the scale that is averaged: the logarithm of a ratio's; NaN for a metric without one."""
        if metric in self.ratio:
            return math.log(self.ratio[metric])
        return self.difference.get(metric, math.nan)


@cache
def margins() -> Margins:
    """What the file says."""
    return Margins.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))
