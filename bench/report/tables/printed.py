"""The results table as it is printed: the columns that fit a page, by problem, with the paper's unit of updates."""

from __future__ import annotations

import pandas as pd

from bench.report.frames import rows_of
from bench.report.names import (
    UPDATES_IN_PERCENT,
    evaluation_name,
    framework_name,
    metric_head,
    metric_scale,
)
from bench.report.numbers import NONE
from bench.report.tables.results import mean_text, solved_text, status_text


def printed(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The aggregated table as text: by a line that names the problem, one row a configuration and framework."""
    return {
        _title(rows): _of_problem(rows)
        for _, rows in table.groupby(["problem", "quality_metric", "reported"], sort=False, dropna=False)
    }


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    metric = metric_head(first["quality_metric"], higher_is_better=bool(first["higher_is_better"]))
    unit = "percent of the steps" if _in_percent(first["task"]) else "samples of a sequence"
    return f"{first['problem']}: {metric}, {evaluation_name(first['reported'])}; updates in {unit}"


def _in_percent(task: str) -> bool:
    return task in UPDATES_IN_PERCENT


def _of_problem(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for row in rows_of(rows):
        updates, scale = ("update_ratio", 100.0) if _in_percent(row["task"]) else ("updates", 1.0)
        quality = metric_scale(row["quality_metric"])
        ended = row["ok"] == row["seeds"]
        lines.append(
            {
                "configuration": row["label"],
                "framework": framework_name(row["framework"]),
                "runs": str(row["seeds"]) if ended else status_text(row),
                "quality": mean_text(row, "quality", scale=quality),
                "solved": solved_text(row),
                "updates": mean_text(row, updates, scale=scale),
                "FLOPs": _mean(row["flops_per_sequence_mean"]),
                "step (ms)": mean_text(row, "step_milliseconds"),
                "as reported (ms)": mean_text(row, "reported_step_milliseconds"),
            }
        )
    return pd.DataFrame(lines)


def _mean(value: float) -> str:
    """A count in the paper's form, such as 2.46e6."""
    return NONE if pd.isna(value) else f"{value:.2e}".replace("e+0", "e").replace("e+", "e")
