"""Under what conditions two trials ran: times and memory of unlike ones are not compared."""

from __future__ import annotations

from typing import Any

import pandas as pd

# Columns that must agree, and what people call them. One that neither side tells does not part them.
CONDITIONS = {
    "environment.processor": "processors", "environment.cores": "numbers of cores",
    "environment.memory_bytes": "memory", "environment.gpu": "GPUs", "environment.system": "systems",
    "environment.python": "Python versions", "environment.threads": "numbers of threads",
    "threads": "numbers of threads in use", "environment.variables": "environment variables",
    "workers": "numbers of trials at a time", "company": "company",
}  # fmt: skip


def unlike_conditions(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """What differs, such as `numbers of threads (1 and 4)`; nothing where their times can be compared."""
    found = []
    for name, words in CONDITIONS.items():
        one, other = (_told(side.get(name)) for side in (left, right))
        if one != other:
            found.append(f"{words} ({one} and {other})")
    return found


def _told(value: Any) -> str:
    if value is None or pd.isna(value):
        return "not told"
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
