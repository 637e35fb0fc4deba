"""The time of a training step, as bars."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.patches import Patch

from bench.report.figures.style import (
    FRAMEWORK_HATCHES,
    Picture,
    cell_colours,
    new_figure,
    slug,
)
from bench.report.frames import rows_of
from bench.report.numbers import number


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
