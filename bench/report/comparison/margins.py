"""The margins of equivalence, from `margins.toml`, and with them the scale on which a metric is compared."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "margins.toml"


@dataclass(frozen=True, kw_only=True)
class Margins:
    """What counts as equivalent.

    Attributes:
        difference: the largest |right − left|, by metric.
        ratio: the largest right / left, either way, by metric; above 1.
        between_engines: how many times as large as the differences of two engines those of frameworks may be, to count
            as no larger.
    """

    difference: dict[str, float]
    ratio: dict[str, float]
    between_engines: float

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
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Margins(
        difference=content["difference"], ratio=content["ratio"], between_engines=content["between_engines"]["ratio"]
    )
