"""On what a trial ran, as far as its times depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.report.names import gibibytes

# Columns that must agree, and what people call them. One that neither side tells does not part them.
CONDITIONS = {
    "environment.processor": "processors", "environment.cores": "numbers of cores",
    "environment.memory_bytes": "memory", "environment.gpu": "GPUs", "environment.system": "systems",
    "environment.python": "Python versions", "environment.threads": "numbers of threads",
    "threads": "numbers of threads in use", "environment.variables": "environment variables",
    "workers": "numbers of trials at a time",
}  # fmt: skip
# Told as they are shown: machines of one kind differ by a page of memory.
SHOWN = {"environment.memory_bytes": gibibytes}


def conditions_of(row: Mapping[str, Any]) -> dict[str, str]:
    """A trial's conditions as they are told, by column."""
    return {name: _told(name, row.get(name)) for name in CONDITIONS}


def _told(name: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return "not told"
    if name in SHOWN:
        return SHOWN[name](float(value))
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
