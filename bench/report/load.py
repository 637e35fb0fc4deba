"""What else a machine did beside trials: whether it was as much, so that their times are each other's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from bench.report.company import company

# How many times the processes a core of one side may be those of the other. Fewer than one count as one: below that
# each has a core to itself.
LIKE_LOAD = 2.0
# Columns of a frame that tell how busy a trial's machine was; one may be missing.
BUSY = ("processor_load", "environment.cores")


def like_load(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether the times of two trials, rows of a frame, are each other's as far as load goes.

    They are where as many other trials ran beside both, and where both started on a machine that was about as busy.
    """
    return company(left.get("beside")) == company(right.get("beside")) and equally_busy((left, right))


def equally_busy(trials: Iterable[Mapping[str, Any]]) -> bool:
    """Whether trials, rows of a frame, all started on machines that were about as busy, each as any other.

    The processes that ran or waited to in the minute before, a core, are within a factor of `LIKE_LOAD`. What none
    tells does not part them.
    """
    found = [processes_a_core(row) for row in trials]
    told = [load for load in found if load is not None]
    return not told or (len(told) == len(found) and max(told) <= LIKE_LOAD * min(told))


def processes_a_core(row: Mapping[str, Any]) -> float | None:
    """How busy a trial's machine was at the start, at least 1; None where its record does not tell."""
    load, cores = row.get("processor_load"), row.get("environment.cores")
    if load is None or pd.isna(load):
        return None
    return max(1.0, float(load) / (1.0 if cores is None or pd.isna(cores) else float(cores)))
