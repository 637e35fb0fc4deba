"""The time of a training step, as bars."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from bench.report.company import ALONE, NOT_TOLD
from bench.report.figures.parts import Part, parts
from bench.report.figures.style import (
    FRAMEWORK_HATCHES,
    LINE_HEIGHT,
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
from bench.report.load import BUSY, equally_busy, processes_a_core
from bench.report.names import framework_name, listed
from bench.report.numbers import number

# Whose times a figure holds, where there are several kinds of company.
BESIDE_OTHERS = "beside others"
WORDS = {ALONE: "trials that ran alone", BESIDE_OTHERS: "trials beside others", NOT_TOLD: "company not told"}


def step_times(trials: pd.DataFrame) -> list[Picture]:
    """Median milliseconds of a training step: a figure for some configurations of a problem, bars by framework.

    Trials that ran alone and trials that ran beside others stand in figures of their own; where the others were not as
    many for all, or machines were unlike or not about as busy, the figure says that its bars are not to be compared.
    """
    pictures: list[Picture] = []
    timed = trials[(trials["status"] == "ok") & trials["step_milliseconds"].notna()]
    timed = timed.assign(kind=timed["company"].where(timed["company"].isin([ALONE, NOT_TOLD]), BESIDE_OTHERS))
    colours = cell_colours(list(trials["cell"].unique()))
    several = timed.groupby("problem")["kind"].nunique().to_dict()
    for (problem, kind), rows in timed.groupby(["problem", "kind"], sort=False):
        wanted: Any = {f"step_milliseconds_{part}": ("step_milliseconds", part) for part in ("mean", "min", "max")}
        apart = WORDS[str(kind)] if several[problem] > 1 else ""
        keys = ["problem", "kind", "task", "cell", "label", "framework"]
        data = rows.groupby(keys, sort=False).agg(**wanted, seeds=("seed", "count")).reset_index()
        labels = list(data["label"].unique())
        pictures += [_picture(part, data=data, trials=rows, colours=colours, apart=apart) for part in parts(labels)]
    return pictures


def _picture(part: Part, *, data: pd.DataFrame, trials: pd.DataFrame, colours: dict[str, str], apart: str) -> Picture:
    problem = ", ".join(filter(None, (str(trials["problem"].iloc[0]), apart)))
    drawn = data[data["label"].isin(part.labels)]
    frameworks = sorted(drawn["framework"].unique())
    names = list(map(wrapped, part.labels))
    mixed = _mixed(trials)
    told = wrapped(mixed, width=TITLE_LINE)
    bars = len(names) * max(0.24 * max(2, len(frameworks)), label_height(names))
    figure = new_figure(height=1.2 + bars + LINE_HEIGHT * told.count("\n"))
    axes = figure.subplots()
    _draw_bars(axes, drawn, labels=list(part.labels), frameworks=frameworks, colours=colours)
    figure.suptitle(wrapped(part.title(problem), width=TITLE_LINE), fontsize=11)
    axes.set_ylabel("")
    words = "\n".join(filter(None, ("milliseconds of a training step (median)", told)))
    axes.set_xlabel(words, loc="right")  # from there it has the figure's whole width
    axes.set_yticks(range(len(names)), names)
    axes.margins(x=0.12)
    handles = [
        Patch(facecolor="#999999", edgecolor="white", hatch=_hatch(name), label=framework_name(name))
        for name in frameworks
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(frameworks), frameon=False)
    return Picture(
        name=part.name(f"step-times-{slug(problem)}"),
        title=part.title(problem),
        caption="The median time of a training step without the first (which compiles), as the mean over seeds; lines "
        f"span the lowest and highest seed. {f'These ran {mixed}' if mixed else 'Shorter is faster'}.{part.note}",
        alternative=f"Bars of training step times on {problem} for {len(part.labels)} configurations; "
        "the numbers are in the results table.",
        figure=figure,
        data=data[data["label"].isin([*part.labels, *part.rest])],
        about=topics(trials[trials["label"].isin(part.labels)]),
    )


def _mixed(trials: pd.DataFrame) -> str:
    """What is to be known of trials beside unlike load, on unlike machines or with unlike versions; empty for none."""
    found = []
    if trials["company"].nunique() > 1:
        found.append(f"beside {trials['beside'].min():.0f} to {trials['beside'].max():.0f} other trials")
    if not equally_busy(rows := rows_of(trials.reindex(columns=list(BUSY)))):
        told = [load for row in rows if (load := processes_a_core(row)) is not None]
        busy = f"on machines with {number(min(told), digits=2)} to {number(max(told), digits=2)} processes a core"
        found.append(busy if len(told) == len(rows) else "on machines that do not all tell how busy they were")
    if trials["machine"].nunique() > 1:
        found.append("on unlike machines")
    if (trials.groupby("framework")["versions"].nunique() > 1).any():  # two frameworks always have unlike ones
        found.append("with unlike versions of a framework")
    return f"{listed(found)}, so bars are not to be compared" if found else ""


def _draw_bars(
    axes: Axes, data: pd.DataFrame, *, labels: list[str], frameworks: list[str], colours: dict[str, str]
) -> None:
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
            bar.set(facecolor=colours[row["cell"]], edgecolor="white", hatch=_hatch(framework))
            low, high = row["step_milliseconds_min"], row["step_milliseconds_max"]
            axes.plot([low, high], [middle, middle], color="#222222", linewidth=1.0)
            text = number(row["step_milliseconds_mean"], digits=3)
            axes.annotate(text, (high, middle), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)


def _hatch(framework: str) -> str:
    return FRAMEWORK_HATCHES.get(framework, "xx")
