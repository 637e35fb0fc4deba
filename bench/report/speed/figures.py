"""Time against update ratio: the engines as lines, the baselines and the floor as levels."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bench.report.figures.style import FAINT, INK, Picture, cell_colours, darker, framework_markers, new_figure, slug
from bench.report.frames import rows_of
from bench.report.names import cell_name, framework_name, listed
from bench.report.numbers import number
from bench.report.speed.implementations import as_told, engine_name
from bench.report.speed.times import NATIVE, PRODUCTS
from impls.kinds import skip_cells

Look = dict[str, Any]
REFERENCE: Look = {"linestyle": (0, (4, 1.5)), "linewidth": 1.4}
ENGINE: Look = {"linestyle": "-", "linewidth": 2.0}
LEVELS: dict[str, tuple[str, Look]] = {
    "native": ("native layer", {"color": FAINT, "linestyle": "-", "linewidth": 1.4}),
    "native_jit": ("native layer, jit", {"color": FAINT, "linestyle": (0, (5, 2)), "linewidth": 1.4}),
    PRODUCTS: ("products alone, at 100 %", {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.6}),
}


def time_against_update_ratio(table: pd.DataFrame) -> list[Picture]:
    """One figure a framework, step, batch size, units and precision; a panel a skip cell and length.

    Reads `times_table`.
    """
    pictures = []
    apart = [name for name in ("units", "precision") if table[name].nunique() > 1]
    for (step, framework, batch_size, *others), rows in table.groupby(
        ["step", "framework", "batch_size", *apart], sort=False
    ):
        cells = [cell for cell in skip_cells() if (rows["cell"] == cell).any()]
        lengths = sorted(rows["length"].unique())
        if not cells:
            continue
        figure = new_figure(height=2.5 * len(cells) + 1.1)
        panels = figure.subplots(len(cells), len(lengths), sharex=True, squeeze=False)
        for line, cell in zip(panels, cells, strict=True):
            for axes, length in zip(line, lengths, strict=True):
                of_panel = rows[rows["length"] == length]
                _draw_panel(axes, of_panel, cell=cell, framework=str(framework))
                axes.set_title(f"{cell_name(cell)}, T = {length}", fontsize=10)
        told = zip(apart, others, strict=True)
        further = [f"{value} units" if name == "units" else str(value) for name, value in told]
        title = ", ".join([framework_name(str(framework)), str(step), f"batch of {batch_size}", *further])
        figure.suptitle(title, fontsize=11)
        for axes in panels[-1]:
            axes.set_xlabel("update ratio")
        figure.supylabel("milliseconds of a step", fontsize=10)
        subjects = list(rows["subject"].unique())
        handles = [
            Line2D(
                [],
                [],
                color=INK,
                marker=framework_markers([str(framework)])[str(framework)],
                ms=4,
                label=engine_name(name, rows.loc[rows["subject"] == name, "implementation"]),
                **_look(name),
            )
            for name in subjects
            if name not in LEVELS
        ] + [Line2D([], [], label=words, **look) for name, (words, look) in LEVELS.items() if name in subjects]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        pictures.append(
            Picture(
                name=f"speed-{slug(title)}",
                title=title,
                caption="Lines are engines: medians over passes, whiskers from the lowest to the highest pass. Level "
                "lines do not depend on updates: the framework's own layer, and the floor, the matrix products alone "
                "of a cell that updates at every step. The axis of time is logarithmic; lower is faster.",
                alternative=f"Milliseconds against update ratio for {title}: {listed(map(cell_name, cells))}; "
                "the numbers are in the table of all times.",
                figure=figure,
                data=as_told(rows).reset_index(drop=True),
            )
        )
    return pictures


def _draw_panel(axes: Axes, rows: pd.DataFrame, *, cell: str, framework: str) -> None:
    marker, colour = framework_markers([framework])[framework], darker(cell_colours([cell])[cell])
    engines = rows[rows["cell"] == cell].sort_values("update_ratio")
    for subject, line in engines.groupby("subject", sort=False):
        axes.plot(line["update_ratio"], line["milliseconds"], color=colour, marker=marker, ms=4, **_look(str(subject)))
        for point in rows_of(line):
            low, high = point["milliseconds_lowest"], point["milliseconds_highest"]
            axes.plot([point["update_ratio"]] * 2, [low, high], color=colour, linewidth=1.0)
    levels = rows[(rows["cell"] == cell.removeprefix("skip_")) & rows["subject"].isin([*NATIVE, PRODUCTS])]
    for level in rows_of(levels):
        axes.axhline(level["milliseconds"], zorder=1, **LEVELS[level["subject"]][1])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, digits=2)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.5, 1.0]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_xlim(0, 1.1)
    axes.margins(y=0.12)


def _look(engine: str) -> Look:
    return REFERENCE if engine == "reference" else ENGINE
