"""Learning curves: validation quality by training step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from bench.report.figures.parts import Part, parts
from bench.report.figures.style import (
    DASHES,
    TITLE_LINE,
    Picture,
    cell_colours,
    label_height,
    new_figure,
    scale_quality,
    slug,
    topics,
    wrapped,
)
from bench.report.figures.undrawn import in_no_line
from bench.report.names import framework_name, listed, metric_head

Look = dict[str, Any]
# How light a colour is drawn, once all dashes are taken.
SHADES = (1.0, 0.65, 0.35)
# Characters of a line of a label beside which the legend has room for another.
NARROW = 32
# Characters of a line of a label in the legend, which has the figure's whole width.
LEGEND_LINE = 60


def learning_curves(curves: pd.DataFrame, trials: pd.DataFrame) -> list[Picture]:
    """Validation quality by training step: a figure for some configurations of a problem, a panel a framework.

    Lines are of trials that ended ok, as every mean of a report is: others would leave the mean where they ended.
    """
    curves = curves[curves["trial_id"].isin(trials.loc[trials["status"] == "ok", "trial_id"])]
    pictures: list[Picture] = []
    colours = cell_colours(list(trials["cell"].unique()))
    for problem, rows in curves.groupby("problem", sort=False):
        data = curve_data(rows)
        of_problem = trials[trials["problem"] == problem]
        drawn = [label for label in of_problem["label"].unique() if (data["label"] == label).any()]
        lost = len(rows) - int(np.isfinite(rows["quality"]).sum())
        pictures += [_picture(part, data=data, trials=of_problem, colours=colours, lost=lost) for part in parts(drawn)]
    return pictures


def curve_data(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest and highest finite quality over seeds, and how many seeds, at every step."""
    keys = ["problem", "task", "cell", "framework", "label", "step"]
    finite = curves[np.isfinite(curves["quality"])]
    grouped = finite.groupby(keys, sort=False)["quality"]
    data: pd.DataFrame = grouped.agg(quality_mean="mean", quality_min="min", quality_max="max", seeds="count")
    return data.reset_index().sort_values(keys, kind="stable", ignore_index=True)


def _picture(part: Part, *, data: pd.DataFrame, trials: pd.DataFrame, colours: dict[str, str], lost: int) -> Picture:
    problem = str(trials["problem"].iloc[0])
    drawn = data[data["label"].isin(part.labels)]
    shown = trials[trials["label"].isin(part.labels)]
    looks = _looks(shown, colours=colours)
    frameworks = sorted(drawn["framework"].unique())
    metric, higher = trials["quality_metric"].iloc[0], bool(trials["higher_is_better"].iloc[0])
    columns = 2 if max(map(len, looks)) <= NARROW else 1
    names = {label: wrapped(label, width=LEGEND_LINE) for label in looks}
    line = max(0.22, label_height(list(names.values())))
    figure = new_figure(height=2.3 * len(frameworks) + 0.8 + line * -(-len(looks) // columns))
    figure.suptitle(wrapped(part.title(problem), width=TITLE_LINE), fontsize=11)
    panels = figure.subplots(len(frameworks), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    scale_quality(panels[0], metric=metric, low=drawn["quality_min"].min(), high=drawn["quality_max"].max())
    for axes, framework in zip(panels, frameworks, strict=True):
        _draw_panel(axes, drawn[drawn["framework"] == framework], looks=looks)
        axes.set_title(framework_name(framework), loc="left", fontsize=10)
    panels[-1].set_xlabel("training step")
    figure.supylabel(f"validation {metric_head(metric, higher_is_better=higher)}", fontsize=10)
    handles = [Line2D([], [], label=names[label], **look) for label, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    left_out = in_no_line(trials)
    note = (f" {left_out}" if left_out else "") + part.note
    note += f" {lost:,} evaluations of this task were not finite and are not drawn." if lost else ""
    return Picture(
        name=part.name(f"curves-{slug(problem)}"),
        title=part.title(problem),
        caption="Quality on validation data by training step: the line is the mean over seeds that ended "
        f"ok, the band spans the lowest and highest of them.{note}",
        alternative=f"Learning curves of {problem}, {len(handles)} configurations in "
        f"{listed(map(framework_name, frameworks))}; the data are in the CSV file beside the figure.",
        figure=figure,
        data=data[data["label"].isin([*part.labels, *part.rest])],
        about=topics(shown),
    )


def _draw_panel(axes: Axes, data: pd.DataFrame, *, looks: dict[str, Look]) -> None:
    for label, line in data.groupby("label", sort=False):
        look = looks[str(label)]
        alone: Look = {"marker": "o", "markersize": 4} if len(line) == 1 else {}  # a line of one point is not seen
        axes.plot(line["step"], line["quality_mean"], **look, **alone)
        axes.fill_between(line["step"], line["quality_min"], line["quality_max"], color=look["color"], alpha=0.15, lw=0)


def _looks(trials: pd.DataFrame, *, colours: dict[str, str]) -> dict[str, Look]:
    """How each label's line looks: the cell's colour, and dashes (then a darker shade) for each of its variants."""
    looks: dict[str, Look] = {}
    for cell, rows in trials.groupby("cell", sort=False):
        for position, label in enumerate(rows["label"].unique()):
            cycle, pattern = divmod(position, len(DASHES))
            dashes: Any = (0, DASHES[pattern]) if DASHES[pattern] else "-"
            shade = tuple(SHADES[cycle % len(SHADES)] * part for part in to_rgb(colours[str(cell)]))
            looks[label] = {"color": shade, "linestyle": dashes, "linewidth": 1.6}
    return looks
