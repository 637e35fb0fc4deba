"""How near ours are to the published numbers, in sentences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.report.frames import rows_of
from bench.report.names import framework_name, many
from bench.report.paper.cells import QUALITY_DECIMALS
from bench.report.paper.measured import agrees
from bench.report.paper.tables import RegeneratedTable
from impls.kinds import skip_cells

MEASURES = {"accuracy": "accuracy differs", "map_percent": "mAP differs"}
# A percentage point, in the unit of each measure, and the decimals of points that the measure's own come to.
POINT = {"accuracy": 0.01, "map_percent": 1.0}
POINT_DECIMALS = {"accuracy": QUALITY_DECIMALS["accuracy"] - 2, "map_percent": QUALITY_DECIMALS["map_percent"]}


def overall(tables: Sequence[RegeneratedTable]) -> list[str]:
    """Of all tables together, over every framework and configuration: what an abstract has room for."""
    ended = [row for table in tables for row in rows_of(table.measured) if row["runs"]]
    sentences = []
    told = [verdict for verdict in map(agrees, ended) if verdict is not None]
    if told:
        sentences.append(f"In {sum(told)} of {_rows(told)} the task is solved, or not, as published.")
    for metric, words in (("accuracy", "accuracy"), ("map_percent", "mean average precision")):
        differences = [row["quality_difference"] for row in ended if row["metric"] == metric]
        known = [abs(difference) for difference in differences if not math.isnan(difference)]
        if known:
            near = sum(difference <= POINT[metric] for difference in known)
            sentences.append(f"In {near} of {_rows(known)} {words} is within one point of the published.")
    shares = [
        abs(row["updates_difference"]) / row["published_updates"]
        for row in ended
        if row["cell"] in skip_cells() and not math.isnan(row["updates_difference"])
    ]
    if shares:
        sentences.append(
            f"The state updates of skip cells differ from the published by {100 * statistics.median(shares):.0f} % in "
            f"the median of {_rows(shares)}."
        )
    return sentences


def _rows(found: Sequence[object]) -> str:
    return many(len(found), "row")


def agreement(table: RegeneratedTable) -> list[str]:
    """One sentence for each framework and configuration that has a run which ended ok; how far it is from the paper."""
    sentences = []
    ended = table.measured[table.measured["runs"] > 0]
    total = sum(row.of_this_project for row in table.layout.rows)
    for (framework, settings), rows in ended.groupby(["framework", "settings"], sort=False):
        who = ", ".join(part for part in (framework_name(str(framework)), str(settings)) if part)
        parts = [f"{rows['row'].nunique()} of {total} rows have a run that ended ok", *_distances(table, rows)]
        sentences.append(f"Table {table.layout.number}, {who}: {'; '.join(parts)}.")
    return sentences


def _distances(table: RegeneratedTable, rows: pd.DataFrame) -> list[str]:
    parts = []
    if table.layout.metric == "solved":
        told = [verdict for verdict in map(agrees, rows_of(rows)) if verdict is not None]
        if told:
            parts.append(f"in {sum(told)} of {len(told)} the task is solved, or not, as published")
    else:
        metric = table.layout.metric
        points = rows["quality_difference"] / POINT[metric]
        parts += _distance(points, MEASURES[metric], "points", decimals=POINT_DECIMALS[metric])
    unit = "points" if table.layout.updates_unit == "percent" else "samples"
    # Those of a plain cell are given, as are those that it skips at random.
    learned = rows.loc[rows["cell"].isin(skip_cells()), "updates_difference"]
    words = "state updates of skip cells differ"
    return parts + _distance(learned, words, unit, decimals=table.layout.updates_decimals)


def _distance(differences: pd.Series, words: str, unit: str, *, decimals: int) -> list[str]:
    sizes: Any = differences.dropna().abs()
    if sizes.empty:
        return []
    return [f"{words} by {sizes.median():.{decimals}f} {unit} in the median and {sizes.max():.{decimals}f} at most"]
