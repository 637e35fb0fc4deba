"""The paper's Figures 2 and 4: validation accuracy by epoch, skip cells against their baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.records.store import Store
from bench.report.figures.style import DASHES, Picture, new_figure, topics
from bench.report.figures.undrawn import in_no_line
from bench.report.frames import curves_frame, rows_of
from bench.report.names import SKIP, cell_name, configuration_name, cost_name, framework_name
from bench.report.paper.layout import PaperTable, paper_tables
from bench.report.paper.models import model_name
from bench.report.paper.protocol import described, setting_departures, subject
from bench.report.paper.published import stand_ins, trials_of
from bench.report.paper.settings import phrase, trial_settings, varying_settings

# Okabe and Ito's, in an order that stays apart in grey; dashes and markers tell lines apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARKERS_A_LINE = 8


@dataclass(frozen=True, kw_only=True)
class CurveFigure:
    """One of these figures: the rows of a table whose curves it draws, and a task that may stand in for the table's."""

    number: int
    table: int
    cells: tuple[str, ...]
    stand_in: str = ""
    stand_in_words: str = ""


FIGURES = (
    CurveFigure(number=2, table=2, cells=("gru", "skip_gru"), stand_in="digits",
                stand_in_words="scikit-learn's digits (8 × 8) in place of MNIST"),
    CurveFigure(number=4, table=6, cells=("lstm", "skip_lstm")),
)  # fmt: skip


def curve_figures(trials: pd.DataFrame, *, store: Store) -> list[Picture]:
    """Figures 2 and 4, as far as runs that ended ok left curves. Raises `RecordError` for a curve that is damaged."""
    pictures = (_figure(wanted, trials, store=store) for wanted in FIGURES)
    return [picture for picture in pictures if picture is not None]


def _figure(wanted: CurveFigure, trials: pd.DataFrame, *, store: Store) -> Picture | None:
    table = paper_tables()[wanted.table - 1]
    shown, words = _of_table(wanted, table, trials), ""
    if shown.empty and wanted.stand_in:
        shown, words = _of_stand_in(wanted, trials), wanted.stand_in_words
    ended = shown[shown["status"] == "ok"]
    curves = curves_frame(ended, store=store)
    if curves.empty:
        return None
    settings = {row["trial_id"]: trial_settings(row) for row in rows_of(ended)}
    naming = varying_settings(list(settings.values()))
    panel = {
        identifier: ", ".join(phrase(name, known[name]) for name in naming if name in known)
        for identifier, known in settings.items()
    }
    models = dict(zip(ended["trial_id"], ended["model"], strict=True))
    curves = curves.assign(model=curves["trial_id"].map(models), settings=curves["trial_id"].map(panel))
    by_epoch = "epoch" in curves and bool(curves["epoch"].notna().all())
    data = _means(curves, by="epoch" if by_epoch else "step")
    if data.empty:
        return None
    departed = "" if words else described(setting_departures(table, list(settings.values())))
    told = [f"{words}." if words else "", f"Not the published protocol: {departed}." if departed else ""]
    told.append(in_no_line(shown))
    title = f"{' and '.join(dict.fromkeys(map(cell_name, wanted.cells)))} on {words or subject(table, ended)}"
    return Picture(
        name=f"paper-figure-{wanted.number}",
        title=f"Figure {wanted.number}: {title}",
        caption=" ".join(
            part
            for part in (
                f"Figure {wanted.number}: accuracy on validation data by {'epoch' if by_epoch else 'training step'}; "
                "the line is the mean over runs, the band spans the lowest and the highest run.",
                *told,
            )
            if part
        ),
        alternative=f"Validation accuracy of {', '.join(data['model'].unique())}; "
        "the data are in the CSV file beside the figure.",
        figure=_draw(data, by="epoch" if by_epoch else "step"),
        data=data,
        about=topics(ended),
    )


def _of_table(wanted: CurveFigure, table: PaperTable, trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of the figure's rows, with what the paper calls the row as their `model`."""
    parts = [
        trials_of(row, trials).assign(model=model_name(row))
        for row in table.rows
        if row.cell in wanted.cells and not row.p_skip
    ]
    return pd.concat(parts)


def _of_stand_in(wanted: CurveFigure, trials: pd.DataFrame) -> pd.DataFrame:
    rows = pd.concat([stand_ins(trials, task=wanted.stand_in, cell=cell) for cell in wanted.cells])
    names = [
        configuration_name(cell, cost_name(cost) if cell.startswith(SKIP) else "")
        for cell, cost in zip(rows["cell"], rows["budget_cost"], strict=True)
    ]
    return rows.assign(model=names)


def _means(curves: pd.DataFrame, *, by: str) -> pd.DataFrame:
    """Mean, lowest and highest accuracy over runs, at the evaluations that all runs of a line have."""
    line = ["framework", "settings", "model"]
    runs = curves.groupby(line, sort=False)["trial_id"].nunique().rename("of")
    grouped = curves.groupby([*line, by], sort=False)["quality"]
    data = grouped.agg(quality_mean="mean", quality_min="min", quality_max="max", runs="count").reset_index()
    data = data.join(runs, on=line)
    return data[data["runs"] == data["of"]].drop(columns="of").reset_index(drop=True)


def _draw(data: pd.DataFrame, *, by: str) -> Figure:
    # Settings in the order of the trials, since as text 16 units would stand above 8.
    panels = list(data.sort_values("framework", kind="stable").groupby(["framework", "settings"], sort=False))
    models = list(dict.fromkeys(data["model"]))
    figure = new_figure(height=2.2 * len(panels) + 0.5 + 0.2 * len(models))
    for axes, ((framework, settings), lines) in zip(
        figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0], panels, strict=True
    ):
        _panel(axes, lines, models=models, by=by)
        title = [framework_name(str(framework)), *([str(settings)] if settings else [])]
        axes.set_title(", ".join(title), loc="left", fontsize=10)
        axes.set_ylabel("validation accuracy")
    axes.set_xlabel("epoch" if by == "epoch" else "training step")
    counts = data.groupby("model", sort=False)["runs"].agg(["min", "max"])
    handles = [
        Line2D([], [], label=f"{model} ({_runs(*counts.loc[model])})", **_look(models.index(model))) for model in models
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, lines: pd.DataFrame, *, models: Sequence[str], by: str) -> None:
    for model, line in lines.groupby("model", sort=False):
        look = _look(models.index(str(model)))
        points = line.sort_values(by)
        every = max(1, len(points) // MARKERS_A_LINE)
        axes.plot(points[by], points["quality_mean"], markevery=every, **look)
        axes.fill_between(
            points[by], points["quality_min"], points["quality_max"], color=look["color"], alpha=0.18, linewidth=0
        )


def _look(position: int) -> dict[str, Any]:
    dashes = DASHES[position % len(DASHES)]
    return {
        "color": COLOURS[position % len(COLOURS)],
        "linestyle": (0, dashes) if dashes else "-",
        "marker": MARKERS[position % len(MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.5,
    }


def _runs(fewest: int, most: int) -> str:
    several = " to ".join(dict.fromkeys(map(str, (fewest, most))))
    return f"{several} {'run' if several == '1' else 'runs'}"
