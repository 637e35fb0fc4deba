"""A shard: a stable share of a sweep's trials, for machines that know nothing of each other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from bench.errors import SweepError
from bench.plan.trial import Trial

WRITTEN = re.compile(r"(?P<number>[0-9]{1,6})/(?P<of>[0-9]{1,6})")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The `number`-th of so many shards, counted from 1.

    A trial's pair decides where it belongs, whatever else the sweep holds: twins, which differ in the framework alone,
    run on one machine, so that their times can be compared.
    """

    number: int
    of: int

    @classmethod
    def parsed(cls, text: str) -> Self:
        """From `3/16`. Raises `SweepError`."""
        found = WRITTEN.fullmatch(text.strip())
        if found is None:
            raise SweepError(f"--shard {text}: write which of how many, such as 3/16")
        number, of = int(found["number"]), int(found["of"])
        if not 1 <= number <= of:
            raise SweepError(
                f"--shard {text}: the shards are 1/{of} to {of}/{of}" if of else f"--shard {text}: of none"
            )
        return cls(number=number, of=of)

    def holds(self, trial: Trial) -> bool:
        """Whether a trial belongs to it."""
        return int(trial.pair_id(), 16) % self.of == self.number - 1
