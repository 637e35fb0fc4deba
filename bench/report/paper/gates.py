"""The paper's Figures 3, 5 and 6: which samples of a test sequence a skip cell used, and which it skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.records.store import Store
from bench.report.figures.sequences import (
    Examples,
    draw_image,
    draw_signal,
    examples_data,
    image_handles,
    outcome_words,
    signal_handles,
    trial_examples,
)  # fmt: skip
from bench.report.figures.style import WIDTH, Picture, new_figure, topics, wrapped
from bench.report.frames import rows_of
from bench.report.glossary import evaluation_words
from bench.report.names import configuration_name, cost_name, framework_name
from bench.report.paper.layout import paper_tables
from bench.report.paper.models import model_name
from bench.report.paper.protocol import departures, described, subject
from bench.report.paper.published import PublishedRow, stand_ins, trials_of
from bench.report.paper.settings import phrase, trial_settings, varying_settings
from impls.kinds import skip_cells

SIGNALS, IMAGES = 3, 8
# Characters of a line over the panels of a framework.
HEADING_LINE = 66
# Images a line; those with more pixels a side than LARGE need room.
SMALL_IMAGES, LARGE_IMAGES, LARGE = 8, 4, 14


@dataclass(frozen=True, kw_only=True)
class GateFigure:
    """One of these figures.

    Attributes:
        number, table: whose rows it is of.
        rows: cell, λ and length of rows to draw, the paper's own first; the next where a sweep lacks it.
        feature: the input that is drawn.
        axis: what that input is called.
        stand_in, stand_in_words: a task that may stand in for the table's.
    """

    number: int
    table: int
    rows: tuple[tuple[str, float, int], ...]
    feature: int = 0
    axis: str = ""
    stand_in: str = ""
    stand_in_words: str = ""


FIGURES = (
    GateFigure(number=3, table=2, rows=(("skip_lstm", 1e-4, 784), ("skip_gru", 1e-4, 784)), stand_in="digits",
               stand_in_words="scikit-learn's digits (8 × 8) in place of MNIST"),
    GateFigure(number=5, table=1, rows=(("skip_gru", 1e-5, 50), ("skip_lstm", 1e-5, 50), ("skip_gru", 0.0, 50),
                                        ("skip_lstm", 0.0, 50)), feature=1, axis="marker"),
    GateFigure(number=6, table=4, rows=tuple((cell, cost, length) for cost in (1e-4, 1e-5, 0.0)
                                             for cell in ("skip_lstm", "skip_gru") for length in (200, 100)),
               axis="amplitude"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Trials that a figure may draw, with what they are called."""

    model: str
    words: str
    trials: pd.DataFrame


def gate_figures(trials: pd.DataFrame, *, store: Store) -> list[Picture]:
    """Figures 3, 5 and 6, as far as runs that ended ok left sequences. Raises `RecordError` for damaged ones."""
    pictures = (_figure(wanted, trials, store=store) for wanted in FIGURES)
    return [picture for picture in pictures if picture is not None]


def _figure(wanted: GateFigure, trials: pd.DataFrame, *, store: Store) -> Picture | None:
    for candidate in _candidates(wanted, trials):
        found = _first_of_each_framework(candidate.trials, store=store)
        if found:
            return _picture(wanted, candidate, found)
    return None


def _candidates(wanted: GateFigure, trials: pd.DataFrame) -> Iterator[Candidate]:
    rows = [_published(wanted, key) for key in wanted.rows]
    own = _words(wanted, rows[0])
    for row in rows:
        words = "" if row is rows[0] else f"{own} is the paper's; this sweep has no sequences of it"
        yield Candidate(model=_words(wanted, row), words=words, trials=trials_of(row, trials))
    for cell in sorted(skip_cells(), reverse=True):
        of_cell = stand_ins(trials, task=wanted.stand_in, cell=cell)
        for cost in sorted(of_cell["budget_cost"].unique()):
            name = configuration_name(cell, cost_name(cost))
            yield Candidate(model=name, words=wanted.stand_in_words, trials=of_cell[of_cell["budget_cost"] == cost])


def _published(wanted: GateFigure, key: tuple[str, float, int]) -> PublishedRow:
    rows = paper_tables()[wanted.table - 1].rows
    return next(row for row in rows if (row.cell, row.budget_cost, row.length) == key)


def _words(wanted: GateFigure, row: PublishedRow) -> str:
    """The model, with its length where a table has several."""
    return f"{model_name(row)}, T = {row.length}" if paper_tables()[wanted.table - 1].lengths else model_name(row)


def _first_of_each_framework(trials: pd.DataFrame, *, store: Store) -> list[tuple[dict[str, Any], Examples]]:
    """The run of the lowest seed in each framework, with its sequences."""
    found = []
    for _, rows in trials[trials["status"] == "ok"].sort_values("seed", kind="stable").groupby("framework"):
        drawable = ((row, trial_examples(row, store=store)) for row in rows_of(rows))
        first = next(((row, examples) for row, examples in drawable if examples is not None), None)
        if first is not None:
            found.append(first)
    return found


def _picture(wanted: GateFigure, candidate: Candidate, found: list[tuple[dict[str, Any], Examples]]) -> Picture:
    table = paper_tables()[wanted.table - 1]
    images = all(examples.are_images for _, examples in found)
    kind = "pixels" if images else "samples"
    rows = [row for row, _ in found]
    departed = described(departures(table, pd.DataFrame(rows))) if rows[0]["task"] == table.task else ""
    sides = " and ".join(dict.fromkeys(f"{examples.side} × {examples.side}" for _, examples in found))
    seeds = ", ".join(
        f"seed {row['seed']} in {framework_name(row['framework'])}{_apart(row, candidate)}" for row in rows
    )
    chosen = "the lowest there is" if len(rows) == 1 else "the lowest of each"
    look = "with a blank edge" if images else "open"
    parts = [
        f"Figure {wanted.number}: test sequences of {candidate.model}; used {kind} red and filled, skipped ones blue "
        f"and {look}; {evaluation_words(row['reported'] for row in rows)}, {seeds}, {chosen}.",
        f"Images of {sides} pixels." if images else "",
        f"{candidate.words}." if candidate.words else "",
        f"Not the published protocol: {departed}." if departed else "",
    ]
    data = pd.concat(
        examples_data(examples, _shown(examples)).assign(framework=row["framework"], seed=row["seed"])
        for row, examples in found
    )
    ratios = "; ".join(_heading(row, examples) for row, examples in found)
    return Picture(
        name=f"paper-figure-{wanted.number}",
        title=f"Figure {wanted.number}: {candidate.model} on {subject(table, pd.DataFrame(rows))}",
        caption=" ".join(part for part in parts if part),
        alternative=f"Test sequences of {candidate.model}. {ratios}.",
        figure=_draw(wanted, found),
        data=data,
        about=topics(pd.DataFrame(rows)),
    )


def _apart(row: dict[str, Any], candidate: Candidate) -> str:
    """What sets a run apart from others of its model, such as ` (64 units)`; empty where the model is all there is."""
    settings = trial_settings(row)
    naming = varying_settings([trial_settings(other) for other in rows_of(candidate.trials)])
    told = ", ".join(phrase(name, settings[name]) for name in naming if name in settings)
    return f" ({told})" if told else ""


def _shown(examples: Examples) -> int:
    return min(IMAGES if examples.are_images else SIGNALS, len(examples.inputs))


def _draw(wanted: GateFigure, found: list[tuple[dict[str, Any], Examples]]) -> Figure:
    images = all(examples.are_images for _, examples in found)
    figure = _draw_images(found) if images else _draw_signals(wanted, found)
    handles = image_handles() if images else signal_handles()
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _heading(row: dict[str, Any], examples: Examples) -> str:
    ratio = examples.used_ratio(_shown(examples))
    return f"{framework_name(row['framework'])}: {100 * ratio:.0f} % used; {outcome_words(row)}"


def _draw_images(found: list[tuple[dict[str, Any], Examples]]) -> Figure:
    """The frameworks under each other, with the same images."""
    columns = LARGE_IMAGES if max(examples.side for _, examples in found) > LARGE else SMALL_IMAGES
    lines = -(-max(_shown(examples) for _, examples in found) // columns)
    figure = new_figure(height=len(found) * (lines * WIDTH / columns + 0.35) + 0.45)
    parts = figure.subfigures(len(found), 1, squeeze=False)[:, 0]
    for part, (row, examples) in zip(parts, found, strict=True):
        part.suptitle(wrapped(_heading(row, examples), width=HEADING_LINE), fontsize=10)
        for position, axes in enumerate(part.subplots(lines, columns, squeeze=False).ravel()):
            axes.set_axis_off()
            if position < _shown(examples):
                draw_image(axes, examples, position)
    return figure


def _draw_signals(wanted: GateFigure, found: list[tuple[dict[str, Any], Examples]]) -> Figure:
    """A panel a sequence, the frameworks under each other."""
    panels = [(row, examples, number) for row, examples in found for number in range(_shown(examples))]
    figure = new_figure(height=0.8 * len(panels) + 1.0)
    drawn = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (row, examples, number) in zip(drawn, panels, strict=True):
        steps, features = examples.inputs.shape[1:]
        points = WIDTH * 72 * 0.85 / steps  # a step's width, so that long sequences stay apart
        draw_signal(axes, examples, number, feature=min(wanted.feature, features - 1), size=min(16, max(4, points**2)))
        if number == 0:
            axes.set_title(wrapped(_heading(row, examples), width=HEADING_LINE), loc="left", fontsize=10)
        if wanted.axis == "marker":
            axes.set_yticks([0, 1])
    drawn[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    drawn[-1].set_xlabel("time step")
    figure.supylabel(wanted.axis, fontsize=10)
    return figure
