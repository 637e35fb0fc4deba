"""On what a trial ran, as far as its times depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.names import gibibytes

# Columns that must agree, and what people call them. One that neither side tells does not part them.
CONDITIONS = {
    "environment.processor": "processors", "environment.cores": "numbers of cores",
    "environment.memory_bytes": "memory", "environment.gpu": "GPUs", "environment.system": "systems",
    "environment.python": "Python versions", "environment.threads": "numbers of threads",
    "threads": "numbers of threads in use", "environment.variables": "environment variables",
    "workers": "numbers of trials at a time", "moved": "machines on the way",
}  # fmt: skip
# The versions of a trial's own framework. Two frameworks have none in common, so that none of these parts them.
VERSIONS = {
    "pytorch": {"environment.packages.torch": "PyTorch versions"},
    "tensorflow": {
        "environment.packages.tensorflow": "TensorFlow versions", "environment.packages.keras": "Keras versions",
    },
}  # fmt: skip
# What compiles PyTorch's kernels, which run on a CPU alone.
COMPILER = {"environment.packages.numba": "Numba versions"}
# Told as they are shown: machines of one kind differ by a page of memory.
SHOWN = {"environment.memory_bytes": gibibytes}


def conditions_of(row: Mapping[str, Any]) -> dict[str, str]:
    """What a trial ran on, as it is told, by column."""
    return {name: _told(name, row.get(name)) for name in CONDITIONS}


def versions_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The versions of a trial's own framework, and of what compiles its kernels, as they are told, by column."""
    own = VERSIONS.get(row["framework"], {})
    if row["framework"] == "pytorch" and row["device"] == "cpu":
        own = own | COMPILER
    return {name: _told(name, row.get(name)) for name in own}


def moved(stretches: Sequence[Mapping[str, Any]]) -> str:
    """What each part of a trial ran on, where it went on elsewhere than it began: its times are of all of them."""
    parts = [(stretch["end_step"], _told_of(stretch["environment"])) for stretch in stretches]
    if all(told == parts[0][1] for _, told in parts):
        return "one"
    differing = [name for name in parts[0][1] if len({told[name] for _, told in parts}) > 1]
    return ", ".join(f"{' '.join(told[name] for name in differing)} to step {end}" for end, told in parts)


def _told_of(environment: Mapping[str, Any]) -> dict[str, str]:
    """The same of a stretch's environment, in which anything may stand where somebody else wrote the record."""
    told = {}
    for column in CONDITIONS:
        place, _, name = column.rpartition(".")
        if place == "environment":
            value = environment.get(name)
            odd = isinstance(value, dict | list | tuple) or (column in SHOWN and not isinstance(value, int | float))
            told[column] = str(value) if odd else _told(column, value)
    return told


def _told(name: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return "not told"
    if name in SHOWN:
        return SHOWN[name](float(value))
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
