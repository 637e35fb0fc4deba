"""Quality against update ratio: what skipping costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from bench.report.figures.labels import Label, place_labels
from bench.report.figures.parts import LARGEST
from bench.report.figures.style import (
    FAINT,
    LINE_HEIGHT,
    TITLE_LINE,
    Picture,
    cell_colours,
    darker,
    framework_markers,
    new_figure,
    scale_quality,
    show_in_percent,
    slug,
    topics,
    wrapped,
)
from bench.report.frames import rows_of
from bench.report.glossary import evaluation_words
from bench.report.names import cell_name, configuration_name, framework_name, metric_head, seeds_name
from impls.contract import Array

# Places along a whisker that labels keep clear of; odd, so that the middle is one.
WHISKER_PLACES = 15
# What a marker is of.
MARKER = ("problem", "task", "cell", "variant", "label", "framework")
# Configurations that are all numbered, with their names below; of more, `LARGEST` are.
MOST_NUMBERED = 24
# Characters of a line of the key, by how many columns have room.
KEY_LINES = {3: 28, 2: 48, 1: 92}
# Configurations that a caption names of those with a hole.
MOST_TOLD = 5
# Points between the markers of two frameworks under which one number is for both.
TOGETHER = 3.0
WHAT_IS_DRAWN = "markers: means over seeds; whiskers: lowest to highest seed"


def quality_against_update_ratio(trials: pd.DataFrame) -> list[Picture]:
    """What skipping costs in quality: one figure a problem, one marker a configuration and framework.

    A number beside each marker is that of its configuration in the key under the figure. Where a trial ended ok without
    a finite number there is no mean, and no marker; the caption names these, and means of some of the seeds alone.
    """
    finite = np.isfinite(trials["quality"]) & np.isfinite(trials["update_ratio"])
    ended = trials["status"] == "ok"
    whole = (finite | ~ended).groupby([trials[name] for name in MARKER]).transform("all")
    colours = cell_colours(list(trials["cell"].unique()))
    markers = framework_markers(list(trials["framework"].unique()))
    return [
        _picture(rows, asked=trials[trials["problem"] == problem], colours=colours, markers=markers)
        for problem, rows in trials[ended & whole].groupby("problem", sort=False)
    ]


def _picture(rows: pd.DataFrame, *, asked: pd.DataFrame, colours: dict[str, str], markers: dict[str, str]) -> Picture:
    problem, data = str(rows["problem"].iloc[0]), scatter_data(rows)
    metric, higher = rows["quality_metric"].iloc[0], bool(rows["higher_is_better"].iloc[0])
    numbered, note = _numbered(data, higher_is_better=higher)
    handles, columns = _handles(data, numbered, colours=colours, markers=markers)
    figure = new_figure(height=4.5 + LINE_HEIGHT * math.ceil(len(handles) / columns), width=7.4)
    axes = figure.subplots()
    scale_quality(axes, metric=metric, low=data["quality_min"].min(), high=data["quality_max"].max())
    obstacles: list[tuple[float, float]] = []
    for point in rows_of(data):
        for line in _whiskers(point):
            axes.plot(*line.T, color=colours[point["cell"]], linewidth=1.0, alpha=0.7, zorder=1)
            obstacles += line.tolist()
    sns.scatterplot(
        data,
        x="update_ratio_mean",
        y="quality_mean",
        hue="cell",
        palette=colours,
        style="framework",
        markers=markers,
        size="framework",
        sizes={name: 34 + 56 * position for position, name in enumerate(sorted(markers))},
        linewidth=1.5,
        legend=False,
        ax=axes,
    )
    # Open markers, one inside the other, so that where two frameworks agree both are seen.
    markers_drawn = axes.collections[-1]
    markers_drawn.set_edgecolor(markers_drawn.get_facecolor())
    markers_drawn.set_facecolor("none")
    axes.set(
        xlim=(-0.04, 1.12),
        xlabel=f"updates (% of the steps)\n{WHAT_IS_DRAWN}",
        title=wrapped(problem, width=TITLE_LINE),
    )
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    show_in_percent(axes.xaxis)
    axes.set_ylabel(f"test {metric_head(metric, higher_is_better=higher)}")
    axes.margins(y=0.15)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    figure.draw_without_rendering()  # which scales the axes, so that places in points are known
    together = TOGETHER * figure.dpi / 72
    labels = [
        Label(x=point["update_ratio_mean"], y=point["quality_mean"], text=str(number), colour=darker(colours[cell]))
        for (cell, variant), number in numbered.items()
        for point in _apart(axes, data[(data["cell"] == cell) & (data["variant"] == variant)], within=together)
    ]
    place_labels(figure, axes, labels, points=obstacles)
    return Picture(
        name=f"quality-update-ratio-{slug(problem)}",
        title=problem,
        caption=f"On test data, {evaluation_words(rows['reported'])}. "
        "Each marker is the mean over seeds, whiskers span the lowest and highest seed; the number beside it is that "
        "of its configuration below. The arrow at the axis points to better; further left means fewer updates. Where "
        f"the two frameworks' markers coincide their means agree.{note}{_holes(data, asked)}",
        alternative=f"Scatter of test quality against updates on {problem}, "
        f"{len(data)} markers; the data are in the CSV file beside the figure.",
        figure=figure,
        data=data,
        about=topics(rows),
    )


def _handles(
    data: pd.DataFrame, numbered: Mapping[tuple[str, str], int], *, colours: dict[str, str], markers: dict[str, str]
) -> tuple[list[Line2D], int]:
    """The key: numbers with their configurations, cells without a number, frameworks; and how many columns it has."""
    dots: Any = {"linestyle": "", "markersize": 6}
    named = {f"{number}  {configuration_name(cell, variant)}": cell for (cell, variant), number in numbered.items()}
    named |= {cell_name(cell): cell for cell in data["cell"].unique() if cell not in {of for of, _ in numbered}}
    longest = max(map(len, named))
    columns = next((count for count, line in KEY_LINES.items() if longest <= line), 1)
    return [
        Line2D([], [], marker="o", color=colours[cell], label=wrapped(name, width=KEY_LINES[columns]), **dots)
        for name, cell in named.items()
    ] + [
        Line2D([], [], marker=markers[name], color=FAINT, mfc="none", mew=1.6, label=framework_name(name), **dots)
        for name in sorted(data["framework"].unique())
    ], columns


def _numbered(data: pd.DataFrame, *, higher_is_better: bool) -> tuple[dict[tuple[str, str], int], str]:
    """The numbers of configurations, by cell and variant, and a note where not all have one."""
    means = data.groupby(["cell", "variant"], sort=False).agg(
        update_ratio=("update_ratio_mean", "mean"), quality=("quality_mean", "mean")
    )
    means = means.reset_index()
    shown, note = means, ""
    if len(means) > MOST_NUMBERED:
        front = means[unbeaten(means, higher_is_better=higher_is_better)]
        shown = front.iloc[np.unique(np.linspace(0, len(front) - 1, min(len(front), LARGEST)).round().astype(int))]
        note = (
            f" Of {len(means)} configurations {len(shown)} are named, out of the {len(front)} that no other beats in "
            "both quality and updates; the data name all."
        )
    keys = zip(shown["cell"], shown["variant"], strict=True)
    return {key: number for number, key in enumerate(keys, start=1)}, note


def _holes(data: pd.DataFrame, asked: pd.DataFrame) -> str:
    """What the caption adds on markers that are not drawn, and on those of some of the seeds that were asked for.

    Args:
        data: the markers.
        asked: all trials of the problem.
    """
    drawn = {(row["label"], row["framework"]): row["seeds"] for row in rows_of(data)}
    unfinished, fewer = [], []
    for (label, framework), status in asked.groupby(["label", "framework"], sort=False)["status"]:
        name = f"{label} in {framework_name(str(framework))}"
        ended = drawn.get((label, framework))
        if ended is None and (status == "ok").any():
            unfinished.append(name)
        if ended is not None and ended < len(status):
            fewer.append(f"{name} ({seeds_name(ended, asked=len(status))})")
    note = f" No marker, since a seed ended ok without a finite number: {_some(unfinished)}." if unfinished else ""
    return note + (f" Means of some seeds alone: {_some(fewer)}." if fewer else "")


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:MOST_TOLD]) + (f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else "")


def _apart(axes: Axes, points: pd.DataFrame, *, within: float) -> Iterator[dict[str, Any]]:
    """The markers of a configuration, without those that stand within so many pixels of another of them."""
    seen: list[Array] = []
    for point in rows_of(points):
        place = axes.transData.transform((point["update_ratio_mean"], point["quality_mean"]))
        if all(np.hypot(*(place - other)) > within for other in seen):
            seen.append(place)
            yield point


def unbeaten(means: pd.DataFrame, *, higher_is_better: bool) -> Array:
    """Which rows no other row beats in both quality and update ratio: the Pareto front, `[rows]`."""
    ratio = means["update_ratio"].to_numpy(float)
    loss = means["quality"].to_numpy(float) * (-1.0 if higher_is_better else 1.0)
    no_worse = (ratio[:, None] <= ratio) & (loss[:, None] <= loss)
    better = (ratio[:, None] < ratio) | (loss[:, None] < loss)
    return np.asarray(~(no_worse & better).any(axis=0))


def scatter_data(trials: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest and highest quality and update ratio over seeds."""
    kinds = ("mean", "min", "max")
    wanted: Any = {f"{name}_{kind}": (name, kind) for name in ("update_ratio", "quality") for kind in kinds}
    data: pd.DataFrame = trials.groupby(list(MARKER), sort=False).agg(**wanted, seeds=("seed", "count")).reset_index()
    return data


def _whiskers(point: dict[str, Any]) -> list[Array]:
    """The spans of update ratio and quality through a point, each `[places, 2]`."""
    ratio, quality = (
        np.linspace(point[f"{name}_min"], point[f"{name}_max"], WHISKER_PLACES) for name in ("update_ratio", "quality")
    )
    return [
        np.column_stack([ratio, np.full(WHISKER_PLACES, point["quality_mean"])]),
        np.column_stack([np.full(WHISKER_PLACES, point["update_ratio_mean"]), quality]),
    ]
