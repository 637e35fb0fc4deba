"""How much slower this machine is now than the one that the estimate's constants were measured on."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds that one round takes on the machine of the constants: a core of an AMD EPYC, with nothing else running.
ROUND_SECONDS = 0.0036
# Seconds to measure for: long enough to meet whatever else the machine is doing, short enough to wait for.
CALIBRATION_SECONDS = 1.0


def slowdown(*, clock: Callable[[], float] = time.perf_counter, work: Callable[[], object] | None = None) -> float:
    """How many times longer a fixed piece of work takes here and now: of a slower processor, or of a busy one.

    Args:
        clock: tells seconds.
        work: one round of the work.

    A processor that is shared shows in full, since what counts is the time that passes, not the time computed for.
    """
    one_round = _round if work is None else work
    one_round()
    start = clock()
    rounds = 0
    while (passed := clock() - start) < CALIBRATION_SECONDS:
        one_round()
        rounds += 1
    return passed / rounds / ROUND_SECONDS


def _round() -> int:
    """Plain Python, on one thread whatever the libraries are told."""
    total = 0
    for number in range(200_000):
        total += number
    return total
