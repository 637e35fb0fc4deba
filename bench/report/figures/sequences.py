"""The figures of examples: which steps of a test sequence were used and which were skipped (Figs. 3, 5, 6)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench.records.store import Store
from bench.report.figures.style import INK, SKIPPED, TITLE_LINE, USED, WIDTH, Picture, new_figure, slug, topics, wrapped
from bench.report.frames import read_examples, rows_of
from bench.report.glossary import evaluation_words
from bench.report.names import SKIP, framework_name, metric_name, metric_text
from bench.report.task_options import options_of
from impls.contract import Array

SIGNALS, IMAGES = 3, 8
# Configurations of a problem that are drawn.
CONFIGURATIONS = 6
IMAGE_COLUMNS = 4
# A pixel is drawn as a square of so many dots; a skipped one leaves its edge blank, so that print without colour shows
# which is which.
PIXEL, EDGE = 6, 1
BLANK = 0.93


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Test sequences of one trial.

    Attributes:
        inputs: `[sequences, time, features]`, one or two features.
        gates: `[sequences, time]`, 1 where the step was used.
        real: `[sequences, time]`, false where padded.
        stride: of images: every how manyth pixel is a step.
    """

    inputs: Array
    gates: Array
    real: Array
    stride: int = 1

    @property
    def side(self) -> int:
        """Pixels a side of the images, or 0 where the sequences are none.

        Images have one feature without a negative value, and the pixels of a square in reading order.
        """
        steps, features = self.inputs.shape[1:]
        side = math.isqrt(steps * self.stride)
        square = (steps - 1) * self.stride < side**2
        return side if features == 1 and square and float(self.inputs.min()) >= 0 else 0

    @property
    def are_images(self) -> bool:
        """Whether the sequences are pixels in reading order."""
        return self.side > 0

    def used_ratio(self, shown: int) -> float:
        """Used steps / real steps of the first sequences."""
        return float(self.gates[:shown][self.real[:shown]].mean())


def used_and_skipped(trials: pd.DataFrame, *, store: Store) -> list[Picture]:
    """A figure for a configuration of a skip cell that skips something, from its first framework and seed.

    Of a problem with many configurations a few are drawn, evenly spaced from the fewest to the most updates.
    """
    pictures: list[Picture] = []
    learned = trials[(trials["status"] == "ok") & trials["cell"].str.startswith(SKIP)]
    for problem, of_problem in learned.groupby("problem", sort=False):
        labels = list(of_problem["label"].unique())
        note = ""
        if len(labels) > CONFIGURATIONS:
            ratios = of_problem[of_problem["update_ratio"] < 1].groupby("label", sort=False)["update_ratio"].mean()
            ranked = list(ratios.sort_values(kind="stable").index)
            places = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), CONFIGURATIONS)).round().astype(int))
            note = (
                f" Of {len(labels)} configurations {len(places)} are drawn, evenly spaced from the fewest to the most "
                "updates; all trials keep theirs in gates.npz."
            )
            labels = [ranked[place] for place in places.tolist()] if ranked else []
        for label in labels:
            rows = of_problem[of_problem["label"] == label]
            for trial in rows_of(rows.sort_values(["seed", "framework"])):
                examples = trial_examples(trial, store=store)
                if examples is not None and (examples.gates[examples.real] == 0).any():
                    about = topics(rows[rows["trial_id"] == trial["trial_id"]])
                    pictures.append(_picture(examples, trial, problem=str(problem), note=note, about=about))
                    break
    return pictures


def outcome_words(trial: Mapping[str, Any]) -> str:
    """How well a trial (a frame's row) did, such as “accuracy 42.2 %, not solved”: a picture alone looks like success.

    Whether it solved its task is told where the task has a criterion.
    """
    metric = str(trial["quality_metric"])
    solved = {True: ", solved", False: ", not solved"}.get(trial["solved"], "")
    return f"{metric_name(metric)} {metric_text(metric, trial['quality'], digits=3)}{solved}"


def trial_examples(trial: Mapping[str, Any], *, store: Store) -> Examples | None:
    """The sequences that a trial (a frame's row) left; None where it left none, or none that can be drawn."""
    arrays = read_examples(trial["trial_id"], store=store)
    if arrays is None or arrays["inputs"].ndim != 3 or arrays["inputs"].shape[2] > 2:
        return None
    real = arrays.get("mask", np.ones_like(arrays["gates"])) > 0
    stride = options_of(trial["options"]).get("stride", "")
    return Examples(
        inputs=arrays["inputs"], gates=arrays["gates"], real=real, stride=int(stride) if stride.isdecimal() else 1
    )


def _picture(
    examples: Examples, trial: dict[str, Any], *, problem: str, note: str, about: Mapping[str, Sequence[str]]
) -> Picture:
    label = str(trial["label"])
    shown = IMAGES if examples.are_images else SIGNALS
    shown = min(shown, len(examples.inputs))
    figure = _draw_images(examples, shown) if examples.are_images else _draw_signals(examples, shown)
    figure.suptitle(wrapped(f"{problem}: {label}", width=TITLE_LINE), fontsize=11)
    kind = "pixels" if examples.are_images else "samples"
    ratio = examples.used_ratio(shown)
    return Picture(
        name=f"used-{slug(f'{problem} {label}')}",
        title=f"{problem}: {label}",
        caption=f"Test sequences with used {kind} red and skipped {kind} blue, after training in "
        f"{framework_name(trial['framework'])} with seed {trial['seed']} ({outcome_words(trial)}), the lowest that "
        f"skips any of these; {evaluation_words([trial['reported']])}.{note}",
        alternative=f"{shown} test sequences of {problem} for {label}; {ratio:.0%} of their {kind} are used. "
        f"{outcome_words(trial).capitalize()}.",
        figure=figure,
        data=examples_data(examples, shown),
        about=about,
    )


def examples_data(examples: Examples, shown: int) -> pd.DataFrame:
    """One row a real step of the first sequences: its inputs, and whether it was used."""
    steps, features = examples.inputs.shape[1:]
    data = pd.DataFrame({"sequence": np.repeat(np.arange(shown), steps), "time_step": np.tile(np.arange(steps), shown)})
    for feature in range(features):
        data[f"input_{feature}"] = examples.inputs[:shown, :, feature].ravel()
    data["used"] = examples.gates[:shown].astype(int).ravel()
    return data[examples.real[:shown].ravel()]


def _draw_signals(examples: Examples, shown: int) -> Figure:
    """Values by time step; a ring marks the steps that a second feature marks."""
    figure = new_figure(height=1.25 * shown + 1.0)
    panels = figure.subplots(shown, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    marked = examples.inputs.shape[2] == 2
    for row, axes in enumerate(panels):
        draw_signal(axes, examples, row)
        if marked:
            at = np.flatnonzero(examples.real[row] & (examples.inputs[row, :, 1] > 0))
            values = examples.inputs[row, at, 0]
            axes.scatter(at, values, s=90, facecolor="none", edgecolor=INK, linewidth=1.2, zorder=4)
    panels[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    panels[-1].set_xlabel("time step")
    figure.supylabel("input", fontsize=10)
    handles = signal_handles()
    if marked:
        ring = {"linestyle": "", "marker": "o", "markersize": 10, "markerfacecolor": "none"}
        handles.append(Line2D([], [], color=INK, label="marked", **ring))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_signal(axes: Axes, examples: Examples, row: int, *, feature: int = 0, size: float = 16) -> None:
    """A feature by time step: used steps filled and red, skipped ones open and blue."""
    steps = np.flatnonzero(examples.real[row])
    values = examples.inputs[row, steps, feature]
    used = examples.gates[row, steps] > 0
    axes.plot(steps, values, color="#BBBBBB", linewidth=0.8, zorder=1)
    axes.scatter(steps[used], values[used], s=size, color=USED, zorder=3)
    axes.scatter(
        steps[~used], values[~used], s=size, facecolor="white", edgecolor=SKIPPED, linewidth=size / 16 + 0.1, zorder=2
    )
    axes.margins(x=0.02, y=0.2)


def signal_handles() -> list[Line2D]:
    """The legend of `draw_signal`."""
    return [
        Line2D([], [], linestyle="", marker="o", color=USED, label="used"),
        Line2D([], [], linestyle="", marker="o", color=SKIPPED, markerfacecolor="white", label="skipped"),
    ]


def _draw_images(examples: Examples, shown: int) -> Figure:
    columns = min(IMAGE_COLUMNS, shown)
    rows = -(-shown // columns)
    figure = new_figure(height=WIDTH / columns * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for position, axes in enumerate(panels):
        axes.set_axis_off()
        if position < shown:
            draw_image(axes, examples, position)
    figure.legend(handles=image_handles(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_image(axes: Axes, examples: Examples, row: int) -> None:
    """Ink dark on a light ground, in the red of used or the blue of skipped pixels; unread pixels are grey.

    Used pixels fill their square, skipped ones leave its edge blank.
    """
    side, stride = examples.side, examples.stride
    brightest = float(examples.inputs.max()) or 1.0
    ink = (examples.inputs[row, :, 0] / brightest)[:, np.newaxis]
    used = examples.gates[row] > 0
    colour = np.where(used[:, np.newaxis], to_rgb(USED), to_rgb(SKIPPED))
    ground = 1 - 0.22 * (1 - colour)
    picture = np.full((side**2, 3), BLANK)
    picture[::stride] = ground + (colour - ground) * ink
    dots = picture.reshape(side, side, 3).repeat(PIXEL, axis=0).repeat(PIXEL, axis=1)
    skipped = np.zeros(side**2, bool)
    skipped[::stride] = ~used
    at_edge = np.arange(side * PIXEL) % PIXEL < EDGE
    edges = at_edge[:, np.newaxis] | at_edge[np.newaxis, :]
    dots[skipped.reshape(side, side).repeat(PIXEL, axis=0).repeat(PIXEL, axis=1) & edges] = 1.0
    axes.imshow(dots, interpolation="auto")  # smooth where dots are smaller than those of the page


def image_handles() -> list[Patch]:
    """The legend of `draw_image`."""
    return [Patch(color=USED, label="used"), Patch(facecolor=SKIPPED, edgecolor="white", hatch="++", label="skipped")]
