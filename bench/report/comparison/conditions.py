"""Under what conditions two trials ran: times and memory of unlike ones are not compared."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.report.load import like_load
from bench.report.names import gibibytes

# Columns that must agree, and what people call them. One that neither side tells does not part them.
CONDITIONS = {
    "environment.processor": "processors", "environment.cores": "numbers of cores",
    "environment.memory_bytes": "memory", "environment.gpu": "GPUs", "environment.system": "systems",
    "environment.python": "Python versions", "environment.threads": "numbers of threads",
    "threads": "numbers of threads in use", "environment.variables": "environment variables",
    "workers": "numbers of trials at a time",
}  # fmt: skip
# What else ran on the machine; how much on either side is in the records.
LOAD = "load"
# Told as they are shown: machines of one kind differ by a page of memory.
SHOWN = {"environment.memory_bytes": gibibytes}


def unlike_conditions(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """What differs, such as `numbers of threads (1 and 4)`, `LOAD` last; nothing where times can be compared."""
    found = []
    for name, words in CONDITIONS.items():
        one, other = (_told(name, side.get(name)) for side in (left, right))
        if one != other:
            found.append(f"{words} ({one} and {other})")
    return found if like_load(left, right) else [*found, LOAD]


def _told(name: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return "not told"
    if name in SHOWN:
        return SHOWN[name](float(value))
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
