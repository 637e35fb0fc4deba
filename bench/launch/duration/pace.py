"""How trials compare with their estimates, learned from those that ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

# Standard deviations of the logarithm of a trial's time over its estimate: 0.3 is about 30 %.
# Of all trials together: nothing is known of the machine before the first has ended.
OF_ALL = 5.0
# Of a group within the next wider one, the widest first, and of a trial within the last.
OF_GROUPS = (0.3, 0.3, 0.2)
OF_TRIALS = 0.3
# Of what the machine becomes from one trial to the next: quieter, or busier.
OF_CHANGE = 0.02
# A surprise counts for no more than so many of its standard deviations: a trial may have been held up once.
LARGEST_SURPRISE = 2.0


class Pace:
    """By what factor the trials of a sweep miss their estimates.

    A trial's factor is a product: one of all trials, and one of each group that it is in, such as those of a
    framework, of a cell, of a configuration. Each is 1 until something is known, and moves with each trial that ends,
    by its share of the surprise: the less certain it was, the larger. So few trials of a group change little of what
    the wider one says, and many say all.

    That is a Kalman filter of the factors' logarithms that takes them to be independent, with Huber's clipping of the
    surprise.
    """

    def __init__(self) -> None:
        self._means = {"": 0.0}
        self._variances = {"": OF_ALL**2}

    def copy(self) -> Self:
        """Another one that knows the same."""
        made = type(self)()
        made._means, made._variances = dict(self._means), dict(self._variances)
        return made

    def factor(self, groups: Sequence[str]) -> float:
        """By what a trial's estimate has to be multiplied.

        Args:
            groups: what it is in, the widest first.
        """
        return math.exp(self._means[""] + sum(self._means.get(group, 0.0) for group in groups))

    def ended(self, groups: Sequence[str], factor: float) -> None:
        """Learns from a trial that ended.

        Args:
            groups: what it was in, the widest first.
            factor: its time over its estimate.
        """
        self._variances[""] += OF_CHANGE**2
        self._learn(groups, factor, deviation=OF_TRIALS)

    def runs(self, groups: Sequence[str], factor: float, *, done: float) -> None:
        """Learns from a trial that runs, the less the less of it is done.

        Args:
            groups: what it is in, the widest first.
            factor: the time that it will take, if it goes on as it does, over its estimate.
            done: which share of it is done, above 0.
        """
        self._learn(groups, factor, deviation=OF_TRIALS / math.sqrt(done))

    def _learn(self, groups: Sequence[str], factor: float, *, deviation: float) -> None:
        for group, of_group in zip(groups, OF_GROUPS, strict=True):
            self._means.setdefault(group, 0.0)
            self._variances.setdefault(group, of_group**2)
        parts = ("", *groups)
        variance = sum(self._variances[part] for part in parts) + deviation**2
        largest = LARGEST_SURPRISE * math.sqrt(variance)
        surprise = math.log(factor) - sum(self._means[part] for part in parts)
        surprise = max(-largest, min(largest, surprise))
        for part in parts:
            gain = self._variances[part] / variance
            self._means[part] += gain * surprise
            self._variances[part] *= 1.0 - gain
