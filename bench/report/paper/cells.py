"""The cells of the paper's tables: numbers to the paper's places, runs counted, tasks solved or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.report.frames import MISSING, STATUSES
from bench.report.numbers import NO_NUMBER, NONE, exponent
from bench.report.paper.layout import PaperTable
from bench.report.paper.measured import agrees
from bench.report.paper.published import PublishedRow

QUALITY_DECIMALS = {"accuracy": 3, "map_percent": 2}
NOT_IN_SWEEP = "not in this sweep"


def runs_text(row: Mapping[str, Any]) -> str:
    """How many runs ended ok, of how many, and how the others ended."""
    if not row["asked"]:
        return NOT_IN_SWEEP
    if row["runs"] == row["asked"]:
        return str(row["runs"])
    others = {status: row[status] for status in STATUSES if status != "ok" and row[status]}
    if others == dict.fromkeys(others, row["asked"]):  # all of them, in one way
        return f"0 of {row['asked']} ({next(iter(others))})"
    return f"{row['runs']} of {row['asked']} ({', '.join(f'{count} {status}' for status, count in others.items())})"


def published_cells(table: PaperTable, row: PublishedRow) -> list[str]:
    """A published row: its quality, updates and FLOPs, with a blank where ours have a difference."""
    if table.metric == "solved":
        cells = [NONE if row.solved is None else "yes" if row.solved else "no"]
    else:
        cells = [_spread(row.value, row.value_std, decimals=QUALITY_DECIMALS[table.metric]), ""]
    cells += [_spread(row.updates, row.updates_std, decimals=table.updates_decimals), ""]
    return cells + ([_flops(row.inference_flops), ""] if table.has_flops else [])


def measured_cells(table: PaperTable, row: Mapping[str, Any]) -> list[str]:
    """Ours, a row of `measured_rows`: the same columns, each with its difference."""
    if table.metric == "solved":
        cells = [solved_text(row)]
    else:
        cells = _number_cells(row, "quality", decimals=QUALITY_DECIMALS[table.metric])
    updates = _number_cells(row, "updates", decimals=table.updates_decimals)
    if table.updates_unit == "samples" and row["runs"] and table.length not in (None, row["measured_length"]):
        updates[0] += f" (of {row['measured_length']:.0f})"
    cells += updates
    if table.has_flops:
        ratio = row["flops_mean"] / row["published_flops"]
        cells += [_flops(row["flops_mean"]), NONE if pd.isna(ratio) else f"{ratio:.2f}"]
    return cells


def solved_text(row: Mapping[str, Any]) -> str:
    """`yes` where every run solved the task, `no` where every run ended and none did, else how many of the runs did."""
    if not row["finished"]:
        return NONE
    if row["solved"] == row["asked"]:
        text = "yes"
    elif row["solved"] == 0 and row["finished"] == row["asked"]:
        text = "no"
    else:
        text = f"{row['solved']} of {row['asked'] - row[MISSING]}"
    return f"{text} (≠ paper)" if agrees(row) is False else text


def _number_cells(row: Mapping[str, Any], name: str, *, decimals: int) -> list[str]:
    mean, deviation, difference = (row[f"{name}_{part}"] for part in ("mean", "std", "difference"))
    if pd.isna(mean) and row["runs"]:
        return [NO_NUMBER, NONE]
    return [_spread(mean, deviation, decimals=decimals), _signed(difference, decimals=decimals)]


def _signed(difference: float, *, decimals: int) -> str:
    """With its sign, unless it rounds to nothing."""
    if math.isnan(difference):
        return NONE
    rounded = round(difference, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", "−") if rounded else f"{0:.{decimals}f}"


def _spread(mean: float | None, deviation: float | None, *, decimals: int) -> str:
    """The places that the paper prints, so that the two can be read side by side."""
    if mean is None or pd.isna(mean):
        return NONE
    text = f"{mean:.{decimals}f}"
    return text if deviation is None or pd.isna(deviation) else f"{text} ± {deviation:.{decimals}f}"


def _flops(value: float | None) -> str:
    return NONE if value is None or pd.isna(value) else exponent(value, digits=3)
