"""Learning curves: validation quality by training step."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from bench.report.figures.style import (
    DASHES,
    LOGARITHMIC_METRICS,
    Picture,
    cell_colours,
    metric_label,
    new_figure,
    slug,
)


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
