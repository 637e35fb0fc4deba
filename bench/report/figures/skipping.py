"""Time against update ratio from a sweep's own trials, beside the line on which skipping saves all that it skips."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.report.comparison.skipping import TIMES, Skipping
from bench.report.figures.style import (
    FAINT,
    INK,
    TITLE_LINE,
    Picture,
    cell_colours,
    framework_markers,
    new_figure,
    slug,
    wrapped,
)
from bench.report.frames import rows_of
from bench.report.names import cell_name, framework_name, listed
from bench.report.numbers import number


def time_against_updates(skipping: Skipping) -> list[Picture]:
    """One figure a problem: a line of panels a framework, a panel a kind of time; a dot a configuration."""
    pictures = []
    if skipping.summary.empty:
        return []
    for problem, rows in skipping.summary.groupby("problem", sort=False):
        frameworks = sorted(rows["framework"].unique())
        times = [time for time in TIMES if (rows["time"] == time).any()]
        colours = cell_colours(list(rows["cell"].unique()))
        figure = new_figure(height=2.3 * len(frameworks) + 1.3, width=7.4)
        panels = figure.subplots(len(frameworks), len(times), squeeze=False, sharex=True, sharey=True)
        for line, framework in zip(panels, frameworks, strict=True):
            for axes, time in zip(line, times, strict=True):
                chosen = rows[(rows["framework"] == framework) & (rows["time"] == time)]
                _panel(axes, chosen, marker=framework_markers([framework])[framework], colours=colours)
                axes.set_title(TIMES[time], fontsize=9.5)
            line[0].set_ylabel(framework_name(framework), fontsize=9.5)
        for axes in panels[-1]:
            axes.set_xlabel("updates")
        panels[0, 0].set_ylim(min(0.1, 0.8 * rows["low"].min()), max(2.0, 1.25 * rows["high"].max()))  # of all panels
        figure.supylabel("time / time of the plain cell", fontsize=10)
        figure.suptitle(wrapped(str(problem), width=TITLE_LINE), fontsize=11)
        figure.legend(handles=_handles(rows, colours), loc="outside lower center", ncols=3, frameon=False)
        pictures.append(
            Picture(
                name=f"skipping-{slug(str(problem))}",
                title=f"{problem}: does skipping pay?",
                caption="A dot is a configuration that skips: its time over that of the plain cell with every update, "
                "of the same seed, framework and engine; bars are 95 % intervals from five trials on, and lowest to "
                "highest trial below. Under the level line skipping saves time; on the dashed line it saves all that "
                "it skips. The axis of time is logarithmic.",
                alternative=f"Time against update ratio on {problem} for {listed(map(framework_name, frameworks))}; "
                "the numbers are in the table of this section.",
                figure=figure,
                data=rows.reset_index(drop=True),
            )
        )
    return pictures


def _panel(axes: Axes, rows: pd.DataFrame, *, marker: str, colours: dict[str, str]) -> None:
    axes.axhline(1, color=FAINT, linewidth=1.4, zorder=1)
    shares = [share / 50 for share in range(1, 51)]
    axes.plot(shares, shares, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    for row in rows_of(rows):
        colour = colours[row["cell"]]
        axes.plot([row["update_ratio"]] * 2, [row["low"], row["high"]], color=colour, linewidth=1.4, zorder=2)
        filled = colour if row["engine"] == "fast" else "white"
        axes.plot(
            row["update_ratio"], row["ratio"], marker=marker, ms=6, color=colour, markerfacecolor=filled, zorder=3
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, digits=2)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1.0]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_xlim(0, 1.05)


def _handles(rows: pd.DataFrame, colours: dict[str, str]) -> list[Line2D]:
    cells = [
        Line2D([], [], linestyle="", marker="o", color=colour, label=cell_name(cell))
        for cell, colour in colours.items()
    ]
    engines = [
        Line2D([], [], linestyle="", marker="o", color=INK, markerfacecolor=INK if engine == "fast" else "white",
               label=f"engine {engine}")
        for engine in sorted(rows["engine"].unique())
    ]  # fmt: skip
    lines = [
        Line2D([], [], color=FAINT, linewidth=1.4, label="as long as the plain cell"),
        Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="time = updates × full"),
    ]
    return [*cells, *engines, *lines]
