"""What the benchmarked engines ran: named beside the engine, and told where its time means something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.report.names import listed
from impls.work import PASSES_OF_EVERY_STEP


def engine_name(engine: str, implementations: Iterable[str]) -> str:
    """Such as `fast (tiles)`; the engine alone where that is what it ran, or nothing is told of it."""
    names = [name for name in dict.fromkeys(implementations) if name not in ("", engine)]
    return f"{engine} ({listed(names)})" if names else engine


def every_step_on_a_gpu(content: dict[str, Any]) -> list[str]:
    """A line where PyTorch's fast engine ran on a GPU as what computes every step; else none."""
    told = [benchmark["extra_info"] for benchmark in content["benchmarks"]]
    ran = dict.fromkeys(
        one.get("implementation", "")
        for one in told
        if (one["framework"], one["subject"], one["device"]) == ("pytorch", "fast", "cuda")
    )
    return [
        f"PyTorch's fast ran on cuda as {name}, not as tiles: it computes every step, so its time does not follow "
        "updates. Tiles need Triton, and a card of compute capability 8.0 or newer."
        for name in ran
        if name in PASSES_OF_EVERY_STEP
    ]


def as_told(table: pd.DataFrame) -> pd.DataFrame:
    """A table of times for a CSV file: without `implementation` where no row tells it, as in an older file."""
    return table if table["implementation"].any() else table.drop(columns="implementation")
