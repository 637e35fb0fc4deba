"""Paired differences between frameworks, as dots with intervals."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report.comparison.pairs import Comparison
from bench.report.figures.parts import Part, parts
from bench.report.figures.style import FAINT, Picture, cell_colours, new_figure, slug, topics
from bench.report.frames import rows_of
from bench.report.names import framework_name, metric_name
from bench.report.page.glossary import evaluation_words

# What the comparison draws, with the axis label and the value that means "no difference".
PANELS = (
    ("quality_difference", "difference of {metric}", 0.0),
    ("update_ratio_difference", "difference of update ratio", 0.0),
    ("step_milliseconds_ratio", "ratio of step times", 1.0),
)


def framework_differences(comparison: Comparison, trials: pd.DataFrame) -> list[Picture]:
    """Paired differences: a figure for some configurations of a problem, a panel a measure, a dot a pair."""
    pictures: list[Picture] = []
    if comparison.pairs.empty:
        return []
    colours = cell_colours(list(trials["cell"].unique()))
    for (problem, left, right), pairs in comparison.pairs.groupby(["problem", "left", "right"], sort=False):
        named = (comparison.summary["problem"] == problem) & (comparison.summary["left"] == left)
        summary = comparison.summary[named & (comparison.summary["right"] == right)]
        of_problem = trials[(trials["problem"] == problem) & trials["framework"].isin((left, right))]
        labels = list(pairs["label"].unique())
        pictures += [
            _picture(part, pairs=pairs, summary=summary, trials=of_problem, colours=colours) for part in parts(labels)
        ]
    return pictures


def _picture(
    part: Part, *, pairs: pd.DataFrame, summary: pd.DataFrame, trials: pd.DataFrame, colours: dict[str, str]
) -> Picture:
    first = rows_of(pairs)[0]
    problem, metric = first["problem"], metric_name(first["quality_metric"])
    left, right = framework_name(first["left"]), framework_name(first["right"])
    labels = list(part.labels)
    drawn, means = pairs[pairs["label"].isin(labels)], summary[summary["label"].isin(labels)]
    title = part.title(f"{problem}: {right} against {left}")
    figure = new_figure(height=0.5 + len(PANELS) * (0.75 + 0.24 * len(labels)))
    figure.suptitle(title, fontsize=11)
    for axes, (name, words, neutral) in zip(figure.subplots(len(PANELS), 1), PANELS, strict=True):
        _difference_panel(axes, pairs=drawn, summary=means, name=name, labels=labels, colours=colours)
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
    return Picture(
        name=part.name(f"frameworks-{slug(problem)}"),
        title=title,
        caption=f"On test data, {evaluation_words(drawn['reported'])}. "
        "A dot is one pair (same seed, initial parameters and batches); the diamond is the mean, "
        "its bar the 95 % bootstrap interval where there are three pairs or more. The grey line is no "
        f"difference; ratios are on a logarithmic scale.{part.note}",
        alternative=f"Paired differences between {left} and {right} on {problem}; "
        "the numbers are in the table of the framework comparison.",
        figure=figure,
        data=pairs[pairs["label"].isin([*labels, *part.rest])].drop(
            columns=["budget", "engine", "device"], errors="ignore"
        ),
        about=topics(trials[trials["label"].isin(labels)]),
    )


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
