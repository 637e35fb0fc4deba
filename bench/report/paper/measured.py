"""The paper's rows measured again: one row a published row, framework and configuration, with its differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.records.record import FINISHED
from bench.report.frames import MISSING, STATUSES, configuration_fields, rows_of
from bench.report.paper.layout import PaperTable
from bench.report.paper.protocol import described, setting_departures
from bench.report.paper.published import PublishedRow, trials_of
from bench.report.paper.settings import phrase, trial_settings, varying_settings

# How records call what a table measures, and how many of the table's units theirs is.
QUALITY_SCALE = {"solved": 1.0, "accuracy": 1.0, "map_percent": 100.0}
# Settings that differ from row to row of Tables 4 and 5, and are told where they differ within a row too.
SAID_BY_ROWS = ("length", "option.sample_milliseconds")
UPDATES_FIELD = {"percent": ("update_ratio", 100.0), "samples": ("updates", 1.0)}


def measured_rows(table: PaperTable, trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each published row, framework and configuration that a sweep's trials have.

    Two configurations (other units, protocols, engines, devices, reported evaluations) are two rows, whatever a
    published row says of them; `settings` tells them apart. Numbers are in the table's units, over the runs that ended
    ok: `<measure>_mean`, `<measure>_std` (the sample's, divisor n − 1; none for one run) and `<measure>_difference`
    (the mean less the published number) for `quality`, `updates` and `flops`; samples have none where `measured_length`
    is not the table's. A measure that a run ended ok without has
    no mean. The ± of updates over test sequences is the root mean square of the runs' own. `runs` ended ok of
    `asked`, `solved` counts runs that solved the task, and each status has a column with its count. A published row
    without trials in a framework has one row with `asked` 0; one without any trial has one such row of no framework.

    Empty where the sweep has no trial for the table.
    """
    found = {row: trials_of(row, trials) for row in table.rows if row.of_this_project}
    of_table = pd.concat(list(found.values())) if found else trials.iloc[:0]
    if of_table.empty:
        return pd.DataFrame()
    frameworks = sorted(of_table["framework"].unique())
    naming = _naming(table, list(found.values()))
    rows = []
    for position, row in enumerate(table.rows):
        if not row.of_this_project:
            continue
        for framework in frameworks if len(found[row]) else [""]:
            of_row = found[row][found[row]["framework"] == framework]
            groups = of_row.groupby(configuration_fields(trials), sort=False, dropna=False)
            for _, group in groups if len(of_row) else [((), of_row)]:
                rows.append(_published(position, row) | _measured(table, row, group, framework, naming))
    return pd.DataFrame(rows)


def _naming(table: PaperTable, of_rows: Sequence[pd.DataFrame]) -> list[str]:
    """The settings that tell the configurations of a table apart, beyond what its rows say."""
    settings = [[trial_settings(trial) for trial in rows_of(trials)] for trials in of_rows]
    by_rows = SAID_BY_ROWS if table.lengths else ()
    said = [name for name in by_rows if not any(varying_settings(of_row, among=[name]) for of_row in settings)]
    told = varying_settings([one for of_row in settings for one in of_row], apart_from=said)
    return [name for name in told if name != "option.length"]  # which is the length that is told


def _published(position: int, row: PublishedRow) -> dict[str, Any]:
    return {
        "table": row.table, "row": position, "cell": row.cell, "p_skip": row.p_skip, "budget_cost": row.budget_cost,
        "length": row.length, "metric": row.metric, "updates_unit": row.updates_unit, "published_solved": row.solved,
        "published_quality": row.value, "published_quality_std": row.value_std, "published_updates": row.updates,
        "published_updates_std": row.updates_std, "published_flops": row.inference_flops,
    }  # fmt: skip


def _measured(
    table: PaperTable, row: PublishedRow, group: pd.DataFrame, framework: str, naming: list[str]
) -> dict[str, Any]:
    ok = group[group["status"] == "ok"]
    settings = trial_settings(rows_of(group)[0]) if len(group) else {}
    measured: dict[str, Any] = {
        "framework": framework,
        "settings": ", ".join(phrase(name, settings[name]) for name in naming if name in settings),
        "protocol": described(setting_departures(table, [settings])) or "published" if settings else "",
        "runs": len(ok),
        "asked": len(group),
        **{status: int((group["status"] == status).sum()) for status in STATUSES},
        "solved": int((group["solved"] == True).sum()),  # noqa: E712
        "finished": int(group["status"].isin(FINISHED).sum()),
    }
    quality = ok["quality"] * QUALITY_SCALE[table.metric]
    field, scale = UPDATES_FIELD[table.updates_unit]
    measured |= _numbers("quality", quality, None if table.metric == "solved" else row.value)
    length = int(group["length"].iloc[0]) if len(group) else None
    # Samples of a sequence of another length are not the published ones, and are not subtracted from them.
    comparable = table.updates_unit == "percent" or table.length in (None, length)
    measured |= {"measured_length": length}
    measured |= _numbers("updates", ok[field] * scale, row.updates if comparable else None)
    if table.updates_deviation == "sequences":
        measured["updates_std"] = _pooled(ok[f"{field}_std"] * scale)
    return measured | _numbers("flops", ok["flops_per_sequence"], row.inference_flops)


def _numbers(name: str, values: pd.Series, published: float | None) -> dict[str, float]:
    """A mean over all of the runs or none: one without a number is not left out in silence."""
    mean = float(values.mean(skipna=False)) if len(values) else np.nan
    deviation = float(values.std(ddof=1, skipna=False)) if len(values) > 1 else np.nan
    difference = np.nan if published is None else mean - published
    return {f"{name}_mean": mean, f"{name}_std": deviation, f"{name}_difference": difference}


def _pooled(deviations: pd.Series) -> float:
    return float(np.sqrt((deviations**2).mean(skipna=False))) if len(deviations) else np.nan


def agrees(row: Mapping[str, Any]) -> bool | None:
    """Whether a measured row solved the task as the published one did; None where it cannot be told.

    Solved is solved by every run; not solved is a run that ended without solving it. While runs are missing it is open.
    """
    if row["published_solved"] is None or not row["finished"] or row[MISSING]:
        return None
    if row["solved"] == row["asked"]:
        return bool(row["published_solved"])
    return not row["published_solved"] if row["solved"] < row["finished"] else None
