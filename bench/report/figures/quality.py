"""Quality against update ratio: what skipping costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from bench.report.figures.labels import Label, place_labels
from bench.report.figures.style import (
    FAINT,
    LOGARITHMIC_METRICS,
    Picture,
    cell_colours,
    darker,
    framework_markers,
    metric_label,
    new_figure,
    slug,
)
from bench.report.frames import rows_of
from bench.report.page.glossary import evaluation_words
from impls.contract import Array

# Places along a whisker that labels keep clear of; odd, so that the middle is one.
WHISKER_PLACES = 15


def quality_against_update_ratio(trials: pd.DataFrame) -> list[Picture]:
    """What skipping costs in quality: one figure a problem, one marker a configuration and framework."""
    pictures = []
    ok = trials[(trials["status"] == "ok") & trials["quality"].notna() & trials["update_ratio"].notna()]
    colours, markers = (
        cell_colours(list(trials["cell"].unique())),
        framework_markers(list(trials["framework"].unique())),
    )
    for problem, rows in ok.groupby("problem", sort=False):
        data = scatter_data(rows)
        metric, higher = rows["quality_metric"].iloc[0], bool(rows["higher_is_better"].iloc[0])
        figure = new_figure(height=4.4)
        axes = figure.subplots()
        if metric in LOGARITHMIC_METRICS:
            axes.set_yscale("log")
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
        axes.set(xlim=(-0.04, 1.12), xlabel="update ratio (updates / steps)", title=str(problem))
        axes.set_ylabel(f"test {metric_label(metric, higher_is_better=higher)}")
        axes.margins(y=0.15)
        cells, frameworks = list(data["cell"].unique()), sorted(data["framework"].unique())
        handles = [
            Line2D([], [], linestyle="", marker="o", color=colours[cell], label=cell, markersize=7) for cell in cells
        ] + [
            Line2D([], [], linestyle="", marker=markers[name], color=FAINT, mfc="none", mew=1.6, ms=7, label=name)
            for name in frameworks
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        named = data[data["variant"] != ""].groupby(["cell", "variant"], sort=False)
        labels = [
            Label(
                x=float(group["update_ratio_mean"].mean()),
                y=float(group["quality_mean"].mean()),
                text=str(variant),
                colour=darker(colours[str(cell)]),
            )
            for (cell, variant), group in named
        ]
        place_labels(figure, axes, labels, points=obstacles)
        pictures.append(
            Picture(
                name=f"quality-update-ratio-{slug(str(problem))}",
                title=str(problem),
                caption=f"On test data, {evaluation_words(rows['reported'])}. "
                "Each marker is the mean over seeds, whiskers span the lowest and highest seed. The "
                "arrow at the axis points to better; further left means fewer updates. Where the two frameworks' "
                "markers coincide they agree.",
                alternative=f"Scatter of test quality against update ratio on {problem}, "
                f"{len(data)} markers; the data are in the CSV file beside the figure.",
                figure=figure,
                data=data,
            )
        )
    return pictures


def scatter_data(trials: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest and highest quality and update ratio over seeds."""
    keys = ["problem", "cell", "variant", "label", "framework"]
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
