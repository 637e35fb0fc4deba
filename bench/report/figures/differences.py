"""Paired differences between frameworks, as dots with intervals."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report.comparison.pairs import Comparison
from bench.report.figures.style import (
    FAINT,
    Picture,
    cell_colours,
    new_figure,
    slug,
)
from bench.report.frames import rows_of
from bench.report.page.glossary import evaluation_words

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
