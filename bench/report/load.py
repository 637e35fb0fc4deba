"""What else a machine did beside two trials: whether it was as much, so that their times are each other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.report.company import company

# How many times the processes a core of one side may be those of the other. Fewer than one count as one: below that
# each has a core to itself.
LIKE_LOAD = 2.0


def like_load(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether the times of two trials, rows of a frame, are each other's as far as load goes.

    They are where as many other trials ran beside both, and where both started on a machine that was about as busy: the
    processes that ran or waited to in the minute before, a core, within a factor of `LIKE_LOAD`. What neither tells
    does not part them.
    """
    if company(left.get("beside")) != company(right.get("beside")):
        return False
    one, other = (_processes_a_core(side) for side in (left, right))
    if one is None or other is None:
        return one is other
    return max(one, other) <= LIKE_LOAD * min(one, other)


def _processes_a_core(row: Mapping[str, Any]) -> float | None:
    load, cores = row.get("processor_load"), row.get("environment.cores")
    if load is None or pd.isna(load):
        return None
    return max(1.0, float(load) / (1.0 if cores is None or pd.isna(cores) else float(cores)))
