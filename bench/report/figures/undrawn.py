"""Which runs are in no line of a figure of curves, in words."""

from __future__ import annotations

import pandas as pd

from bench.report.frames import MISSING
from bench.report.names import listed, many


def in_no_line(trials: pd.DataFrame) -> str:
    """How many of the runs have no curve here: those that were not run, apart from those that did not end ok."""
    missing = int((trials["status"] == MISSING).sum())
    troubled = int((~trials["status"].isin(("ok", MISSING))).sum())
    told = [f"{missing} {'was' if missing == 1 else 'were'} not run"] if missing else []
    told += [f"{troubled} did not end ok"] if troubled else []
    return f"Of {many(len(trials), 'run')} {listed(told)}: in no line." if told else ""
