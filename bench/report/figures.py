"""The figures of numbers: learning curves, quality against update ratio, times, differences between frameworks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report.comparison import Comparison
from bench.report.frames import rows_of
from bench.report.glossary import evaluation_words
from bench.report.labels import Label, place_labels
from bench.report.numbers import number
from bench.report.style import (
    DASHES,
    FAINT,
    FRAMEWORK_HATCHES,
    Picture,
    cell_colours,
    darker,
    framework_markers,
    metric_label,
    new_figure,
    slug,
)
from impls.contract import Array

# Errors span orders of magnitude; their axes are logarithmic.
LOGARITHMIC_METRICS = ("mean_squared_error",)
# Places along a whisker that labels keep clear of; odd, so that the middle is one.
WHISKER_PLACES = 15


def learning_curves(curves: pd.DataFrame, trials: pd.DataFrame) -> list[Picture]:
    """Validation quality by training step: one figure a problem, one panel a framework."""
    pictures = []
    for problem, rows in curves.groupby("problem", sort=False):
        data = curve_data(rows)
        of_problem = trials[trials["problem"] == problem]
        looks = _looks(of_problem)
        frameworks = sorted(data["framework"].unique())
        figure = new_figure(height=2.3 * len(frameworks) + 0.8 + 0.22 * ((len(looks) + 1) // 2))
        figure.suptitle(str(problem), fontsize=11)
        panels = figure.subplots(len(frameworks), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        metric, higher = of_problem["quality_metric"].iloc[0], bool(of_problem["higher_is_better"].iloc[0])
        for axes, framework in zip(panels, frameworks, strict=True):
            of_framework = data[data["framework"] == framework]
            shown = [label for label in looks if (of_framework["label"] == label).any()]
            sns.lineplot(
                of_framework,
                x="step",
                y="quality_mean",
                hue="label",
                hue_order=shown,
                palette={label: looks[label]["colour"] for label in shown},
                style="label",
                style_order=shown,
                dashes={label: looks[label]["dashes"] or "" for label in shown},
                size="label",
                size_order=shown,
                sizes={label: looks[label]["width"] for label in shown},
                errorbar=None,
                legend=False,
                ax=axes,
            )
            for label in shown:
                line = of_framework[of_framework["label"] == label]
                low, high = line["quality_min"], line["quality_max"]
                axes.fill_between(line["step"], low, high, color=looks[label]["colour"], alpha=0.15, linewidth=0)
            if metric in LOGARITHMIC_METRICS:
                axes.set_yscale("log")
            axes.set_title(framework, loc="left", fontsize=10)
            axes.set(xlabel="training step", ylabel="")
        figure.supylabel(f"validation {metric_label(metric, higher_is_better=higher)}", fontsize=10)
        handles = [
            Line2D(
                [],
                [],
                color=look["colour"],
                linestyle=(0, look["dashes"]) if look["dashes"] else "-",
                linewidth=look["width"],
                label=label,
            )
            for label, look in looks.items()
            if (data["label"] == label).any()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
        pictures.append(
            Picture(
                name=f"curves-{slug(str(problem))}",
                title=str(problem),
                caption="Quality on validation data by training step: the line is the mean over seeds, the band "
                "spans the lowest and highest seed. A seed that ended early leaves the mean where it ended.",
                alternative=f"Learning curves of {problem}, {len(handles)} configurations in "
                f"{' and '.join(frameworks)}; the data are in the CSV file beside the figure.",
                figure=figure,
                data=data,
            )
        )
    return pictures


def curve_data(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest and highest quality over seeds, and how many seeds, at every step."""
    keys = ["problem", "framework", "label", "step"]
    grouped = curves.groupby(keys, sort=False)["quality"]
    data = grouped.agg(quality_mean="mean", quality_min="min", quality_max="max", seeds="count")
    return data.reset_index().sort_values(keys, kind="stable", ignore_index=True)


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


def step_times(trials: pd.DataFrame) -> list[Picture]:
    """Median milliseconds of a training step: one figure a problem, bars of cells by framework."""
    pictures = []
    timed = trials[(trials["status"] == "ok") & trials["step_milliseconds"].notna()]
    colours = cell_colours(list(trials["cell"].unique()))
    for problem, rows in timed.groupby("problem", sort=False):
        wanted: Any = {f"step_milliseconds_{kind}": ("step_milliseconds", kind) for kind in ("mean", "min", "max")}
        keys = ["problem", "cell", "label", "framework"]
        data = rows.groupby(keys, sort=False).agg(**wanted, seeds=("seed", "count")).reset_index()
        labels, frameworks = list(data["label"].unique()), sorted(data["framework"].unique())
        figure = new_figure(height=1.2 + 0.24 * len(labels) * max(2, len(frameworks)))
        axes = figure.subplots()
        sns.barplot(
            data,
            y="label",
            x="step_milliseconds_mean",
            hue="framework",
            order=labels,
            hue_order=frameworks,
            errorbar=None,
            orient="h",
            legend=False,
            ax=axes,
        )
        means = {(row["framework"], row["label"]): row for row in rows_of(data)}
        for framework, bars in zip(frameworks, axes.containers, strict=True):
            for bar in bars:  # a configuration without this framework has none
                middle = bar.get_y() + bar.get_height() / 2
                row = means[framework, labels[round(middle)]]
                bar.set(facecolor=colours[row["cell"]], edgecolor="white", hatch=FRAMEWORK_HATCHES.get(framework, "xx"))
                low, high = row["step_milliseconds_min"], row["step_milliseconds_max"]
                axes.plot([low, high], [middle, middle], color="#222222", linewidth=1.0)
                text = number(row["step_milliseconds_mean"], digits=3)
                axes.annotate(text, (high, middle), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set(xlabel="milliseconds of a training step (median)", ylabel="", title=str(problem))
        axes.margins(x=0.12)
        handles = [
            Patch(facecolor="#999999", edgecolor="white", hatch=FRAMEWORK_HATCHES.get(name, "xx"), label=name)
            for name in frameworks
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(frameworks), frameon=False)
        pictures.append(
            Picture(
                name=f"step-times-{slug(str(problem))}",
                title=str(problem),
                caption="The median time of a training step without the first (which compiles), as the mean over "
                "seeds; lines span the lowest and highest seed. Shorter is faster.",
                alternative=f"Bars of training step times on {problem} for {len(labels)} configurations; "
                "the numbers are in the results table.",
                figure=figure,
                data=data,
            )
        )
    return pictures


# What the comparison draws, with the axis label and the value that means "no difference".
PANELS = (
    ("quality_difference", "difference of {metric}", 0.0),
    ("update_ratio_difference", "difference of update ratio", 0.0),
    ("step_milliseconds_ratio", "ratio of step times", 1.0),
)


def framework_differences(comparison: Comparison, trials: pd.DataFrame) -> list[Picture]:
    """Paired differences: one figure a problem, a panel a measure, a dot a pair, a bar an interval of the mean."""
    pictures = []
    if comparison.pairs.empty:
        return []
    colours = cell_colours(list(trials["cell"].unique()))
    for (problem, left, right), pairs in comparison.pairs.groupby(["problem", "left", "right"], sort=False):
        labels = list(pairs["label"].unique())
        summary = comparison.summary[
            (comparison.summary["problem"] == problem)
            & (comparison.summary["left"] == left)
            & (comparison.summary["right"] == right)
        ]
        metric = str(pairs["quality_metric"].iloc[0]).replace("_", " ")
        figure = new_figure(height=0.5 + len(PANELS) * (0.75 + 0.24 * len(labels)))
        figure.suptitle(f"{problem}: {right} against {left}", fontsize=11)
        for axes, (name, words, neutral) in zip(figure.subplots(len(PANELS), 1), PANELS, strict=True):
            _difference_panel(axes, pairs=pairs, summary=summary, name=name, labels=labels, colours=colours)
            axes.axvline(neutral, color=FAINT, linewidth=1.2, zorder=0)
            if name.endswith("_ratio"):
                sign = f"{right} / {left}"
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                sign = f"{right} − {left}"
                axes.xaxis.set_major_locator(MaxNLocator(4))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.3g}" if value else "0"))
            axes.set(ylabel="", xlabel=f"{words.format(metric=metric)} ({sign})")
        pictures.append(
            Picture(
                name=f"frameworks-{slug(str(problem))}",
                title=f"{problem}: {right} against {left}",
                caption=f"On test data, {evaluation_words(pairs['reported'])}. "
                "A dot is one pair (same seed, initial parameters and batches); the diamond is the mean, "
                "its bar the 95 % bootstrap interval where there are three pairs or more. The grey line is no "
                "difference; ratios are on a logarithmic scale.",
                alternative=f"Paired differences between {left} and {right} on {problem}; "
                "the numbers are in the table of the framework comparison.",
                figure=figure,
                data=pairs.drop(columns=["budget", "engine", "device"], errors="ignore"),
            )
        )
    return pictures


def _difference_panel(
    axes: Axes,
    *,
    pairs: pd.DataFrame,
    summary: pd.DataFrame,
    name: str,
    labels: list[str],
    colours: dict[str, str],
) -> None:
    sns.stripplot(
        pairs,
        x=name,
        y="label",
        hue="cell",
        palette=colours,
        order=labels,
        jitter=False,
        size=5,
        alpha=0.8,
        linewidth=0,
        legend=False,
        ax=axes,
    )
    for row in rows_of(summary):
        place = labels.index(row["label"])
        if not pd.isna(row[f"{name}_low"]):
            axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [place, place], color="#222222", linewidth=1.4)
        axes.plot(row[f"{name}_mean"], place, marker="D", markersize=4.5, color="#222222", markerfacecolor="white")
    axes.set_ylim(len(labels) - 0.5, -0.5)


def _looks(trials: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How each label's line looks: the cell's colour, and dashes (then a width) for each of its variants."""
    colours = cell_colours(list(trials["cell"].unique()))
    looks: dict[str, dict[str, Any]] = {}
    for cell, rows in trials.groupby("cell", sort=False):
        labels = list(rows["label"].unique())
        for position, label in enumerate(labels):
            cycle, pattern = divmod(position, len(DASHES))
            looks[label] = {"colour": colours[str(cell)], "dashes": DASHES[pattern], "width": 1.6 + cycle}
    return looks
