"""Paired differences between frameworks, as dots with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report.comparison.intervals import LEAST_PAIRS
from bench.report.comparison.margins import margins
from bench.report.comparison.measures import difference_scale
from bench.report.comparison.paired_differences import Comparison
from bench.report.figures.parts import Part, parts
from bench.report.figures.style import (
    FAINT,
    TITLE_LINE,
    Picture,
    cell_colours,
    label_height,
    new_figure,
    slug,
    topics,
    wrapped,
)
from bench.report.frames import rows_of
from bench.report.glossary import evaluation_words
from bench.report.names import framework_name, metric_name, metric_unit

# What the comparison draws, with the axis label; quality is on the scale of its metric.
PANELS = {"quality": "{metric}", "update_ratio": "updates", "step_milliseconds": "time of a training step"}


def framework_differences(comparison: Comparison, trials: pd.DataFrame) -> list[Picture]:
    """Paired differences: a figure for some configurations of a problem, a panel a measure, a dot a pair."""
    pictures: list[Picture] = []
    if comparison.pairs.empty:
        return []
    colours = cell_colours(list(trials["cell"].unique()))
    several = trials["engine"].nunique() > 1
    naming = ["problem", "left", "right"]
    summaries = dict(list(_named(comparison.summary, several=several).groupby(naming, sort=False)))
    for (problem, left, right), pairs in _named(comparison.pairs, several=several).groupby(naming, sort=False):
        of_problem = trials[(trials["problem"] == problem) & trials["framework"].isin((left, right))]
        for part in parts(list(pairs["label"].unique())):
            summary = summaries[problem, left, right]
            summary = summary[summary["label"].isin(part.labels)]
            if (summary["measure"].isin(list(PANELS)) & (summary["pairs"] > 0)).any():
                pictures.append(_picture(part, pairs=pairs, summary=summary, trials=of_problem, colours=colours))
    return pictures


def _picture(
    part: Part, *, pairs: pd.DataFrame, summary: pd.DataFrame, trials: pd.DataFrame, colours: dict[str, str]
) -> Picture:
    first = rows_of(pairs)[0]
    problem, left, right = str(first["problem"]), framework_name(first["left"]), framework_name(first["right"])
    drawn = pairs[pairs["label"].isin(part.labels)]
    title = part.title(f"{problem}: {right} against {left}")
    panels = [name for name in PANELS if (summary["pairs"] > 0)[summary["measure"] == name].any()]
    names = list(map(wrapped, part.labels))
    figure = new_figure(height=0.5 + len(panels) * (0.75 + max(0.24, label_height(names)) * len(names)))
    figure.suptitle(wrapped(title, width=TITLE_LINE), fontsize=11)
    for axes, name in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        of_measure = summary[summary["measure"] == name]
        _difference_panel(axes, pairs=drawn, summary=of_measure, labels=list(part.labels), colours=colours)
        _scale(axes, name, metric=str(first["quality_metric"]), ratio=of_measure["scale"].iloc[0] == "ratio")
        sign = f"{right} / {left}" if of_measure["scale"].iloc[0] == "ratio" else f"{right} − {left}"
        axes.set_ylabel("")
        axes.set_xlabel(f"{axes.get_xlabel()} ({sign})", loc="right")  # from there it has the figure's whole width
        axes.set_yticks(range(len(names)), names)
    return Picture(
        name=part.name(f"frameworks-{slug(problem)}"),
        title=title,
        caption=f"On test data, {evaluation_words(drawn['reported'])}. "
        "A dot is one pair (same seed, initial parameters and batches); the diamond is the mean and its bar "
        f"the 95 % interval (Student's t), from {LEAST_PAIRS} pairs on. The grey line is no difference, the "
        f"band the margin of equivalence; ratios are on a logarithmic scale.{part.note}",
        alternative=f"Paired differences between {left} and {right} on {problem}; "
        "the numbers are in the table of the framework comparison.",
        figure=figure,
        data=pairs[pairs["label"].isin([*part.labels, *part.rest])],
        about=topics(trials[trials["cell"].isin(drawn["cell"])]),
    )


def _named(rows: pd.DataFrame, *, several: bool) -> pd.DataFrame:
    """With a label for every line of dots: the configuration, and its engine where there are several."""
    labels = rows["configuration"] + (", " + rows["engine"] if several else "")
    return rows.assign(label=labels)


def _scale(axes: Axes, measure: str, *, metric: str, ratio: bool) -> None:
    """The axis of a measure: its scale and words, the line of no difference and the band of equivalence."""
    margin = _margin(measure, metric=metric)
    if margin is not None:
        axes.axvspan(*margin, color=FAINT, alpha=0.15, linewidth=0, zorder=0)
    axes.axvline(1.0 if ratio else 0.0, color=FAINT, linewidth=1.2, zorder=0)
    words = PANELS[measure].format(metric=metric_name(metric))
    if ratio:
        axes.set_xscale("log")
        if not np.ptp(axes.dataLim.intervalx):  # else the points would stand at the border
            axes.set_xlim(0.5 * axes.dataLim.x0, 2.0 * axes.dataLim.x0)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(f"ratio of {words}")
        return
    scale = difference_scale(measure, metric=metric)
    unit = " in points" if measure == "update_ratio" or metric_unit(metric) else ""
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{scale * value:+.3g}" if value else "0"))
    axes.set_xlabel(f"difference of {words}{unit}")


def _margin(measure: str, *, metric: str) -> tuple[float, float] | None:
    """The band of equivalence on the axis; None for what has none."""
    name, known = metric if measure == "quality" else measure, margins()
    if known.is_ratio(name):
        return 1 / known.ratio[name], known.ratio[name]
    return (-known.difference[name], known.difference[name]) if name in known.difference else None


def _difference_panel(
    axes: Axes,
    *,
    pairs: pd.DataFrame,
    summary: pd.DataFrame,
    labels: list[str],
    colours: dict[str, str],
) -> None:
    first = rows_of(summary)[0]
    sns.stripplot(
        pairs,
        x=f"{first['measure']}_{first['scale']}",
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
        if pd.isna(row["low"]):
            continue
        axes.plot([row["low"], row["high"]], [place, place], color="#222222", linewidth=1.4)
        axes.plot(row["mean"], place, marker="D", markersize=4.5, color="#222222", markerfacecolor="white")
    axes.set_ylim(len(labels) - 0.5, -0.5)
