"""Quality against update ratio: what skipping costs."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from bench.report.figures.labels import Label, place_labels
from bench.report.figures.parts import LARGEST
from bench.report.figures.style import (
    FAINT,
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
from bench.report.names import cell_name, configuration_name, framework_name, metric_head
from bench.report.page.glossary import evaluation_words
from impls.contract import Array

# Places along a whisker that labels keep clear of; odd, so that the middle is one.
WHISKER_PLACES = 15
# Characters of a name that has room beside its marker; a longer one is a letter there.
LONGEST_NAME = 40


def quality_against_update_ratio(trials: pd.DataFrame) -> list[Picture]:
    """What skipping costs in quality: one figure a problem, one marker a configuration and framework."""
    finite = np.isfinite(trials["quality"]) & np.isfinite(trials["update_ratio"])
    ok = trials[(trials["status"] == "ok") & finite]
    colours = cell_colours(list(trials["cell"].unique()))
    markers = framework_markers(list(trials["framework"].unique()))
    return [_picture(rows, colours=colours, markers=markers) for _, rows in ok.groupby("problem", sort=False)]


def _picture(rows: pd.DataFrame, *, colours: dict[str, str], markers: dict[str, str]) -> Picture:
    problem, data = str(rows["problem"].iloc[0]), scatter_data(rows)
    metric, higher = rows["quality_metric"].iloc[0], bool(rows["higher_is_better"].iloc[0])
    figure = new_figure(height=4.4)
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
    axes.set(xlim=(-0.04, 1.12), xlabel="updates (% of the steps)", title=wrapped(problem, width=TITLE_LINE))
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    show_in_percent(axes.xaxis)
    axes.set_ylabel(f"test {metric_head(metric, higher_is_better=higher)}")
    axes.margins(y=0.15)
    figure.legend(
        handles=_handles(data, colours=colours, markers=markers), loc="outside lower center", ncols=3, frameon=False
    )
    named, note = _named(data, higher_is_better=higher)
    labels = [
        Label(
            x=row["update_ratio"],
            y=row["quality"],
            text=row["name"],
            colour=darker(colours[row["cell"]]),
        )
        for row in rows_of(named)
    ]
    place_labels(figure, axes, labels, points=obstacles)
    return Picture(
        name=f"quality-update-ratio-{slug(problem)}",
        title=problem,
        caption=f"On test data, {evaluation_words(rows['reported'])}. "
        "Each marker is the mean over seeds, whiskers span the lowest and highest seed. The "
        "arrow at the axis points to better; further left means fewer updates. Where the two frameworks' "
        f"markers coincide they agree.{note}",
        alternative=f"Scatter of test quality against updates on {problem}, "
        f"{len(data)} markers; the data are in the CSV file beside the figure.",
        figure=figure,
        data=data,
        about=topics(rows),
    )


def _handles(data: pd.DataFrame, *, colours: dict[str, str], markers: dict[str, str]) -> list[Line2D]:
    dots: Any = {"linestyle": "", "markersize": 7}
    return [
        Line2D([], [], marker="o", color=colours[cell], label=cell_name(cell), **dots) for cell in data["cell"].unique()
    ] + [
        Line2D([], [], marker=markers[name], color=FAINT, mfc="none", mew=1.6, label=framework_name(name), **dots)
        for name in sorted(data["framework"].unique())
    ]


def _named(data: pd.DataFrame, *, higher_is_better: bool) -> tuple[pd.DataFrame, str]:
    """The configurations that are named in the figure, and a note where not all are."""
    means = data.groupby(["cell", "variant"], sort=False).agg(
        update_ratio=("update_ratio_mean", "mean"), quality=("quality_mean", "mean")
    )
    means = means.reset_index()
    named = means[means["variant"] != ""]
    if len(named) <= LARGEST:
        return _lettered(named)
    front = named[unbeaten(named, higher_is_better=higher_is_better)]
    shown = front.iloc[np.unique(np.linspace(0, len(front) - 1, min(len(front), LARGEST)).round().astype(int))]
    lettered, key = _lettered(shown)
    return lettered, (
        f" Of {len(named)} configurations {len(shown)} are named, out of the {len(front)} that no other beats in both "
        f"quality and updates; the data name all.{key}"
    )


def _lettered(named: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """With what is written beside each marker: its variant, or a letter and the caption's key to it."""
    letters = iter(ascii_uppercase)
    names = [text if len(text) <= LONGEST_NAME else next(letters) for text in named["variant"]]
    key = [
        f"{name}: {configuration_name(cell, variant)}"
        for name, cell, variant in zip(names, named["cell"], named["variant"], strict=True)
        if name != variant
    ]
    return named.assign(name=names), f" {'; '.join(key)}." if key else ""


def unbeaten(means: pd.DataFrame, *, higher_is_better: bool) -> Array:
    """Which rows no other row beats in both quality and update ratio: the Pareto front, `[rows]`."""
    ratio = means["update_ratio"].to_numpy(float)
    loss = means["quality"].to_numpy(float) * (-1.0 if higher_is_better else 1.0)
    no_worse = (ratio[:, None] <= ratio) & (loss[:, None] <= loss)
    better = (ratio[:, None] < ratio) | (loss[:, None] < loss)
    return np.asarray(~(no_worse & better).any(axis=0))


def scatter_data(trials: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest and highest quality and update ratio over seeds."""
    keys = ["problem", "task", "cell", "variant", "label", "framework"]
    kinds = ("mean", "min", "max")
    wanted: Any = {f"{name}_{kind}": (name, kind) for name in ("update_ratio", "quality") for kind in kinds}
    data: pd.DataFrame = trials.groupby(keys, sort=False).agg(**wanted, seeds=("seed", "count")).reset_index()
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
