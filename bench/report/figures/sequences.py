"""The figures of examples: which steps of a test sequence were used and which were skipped (Figs. 3, 5, 6)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench.records.store import Store
from bench.report.figures.style import INK, SKIPPED, USED, WIDTH, Picture, new_figure, slug, topics
from bench.report.frames import read_examples, rows_of
from bench.report.names import SKIP, framework_name
from bench.report.page.glossary import evaluation_words
from impls.contract import Array

SIGNALS, IMAGES = 3, 8
# Configurations of a problem that are drawn.
CONFIGURATIONS = 6
IMAGE_COLUMNS = 4


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Test sequences `[sequences, time, features]` with their gates `[sequences, time]`, of one trial."""

    inputs: Array
    gates: Array
    real: Array  # [sequences, time], false where padded

    @property
    def are_images(self) -> bool:
        """One feature, a square number of steps, and no negative value: pixels in reading order."""
        steps, features = self.inputs.shape[1:]
        return features == 1 and math.isqrt(steps) ** 2 == steps and float(self.inputs.min()) >= 0


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
                examples = _examples(trial["trial_id"], store=store)
                if examples is not None and (examples.gates[examples.real] == 0).any():
                    about = topics(rows[rows["trial_id"] == trial["trial_id"]])
                    pictures.append(_picture(examples, trial, problem=str(problem), note=note, about=about))
                    break
    return pictures


def _examples(trial_id: str, *, store: Store) -> Examples | None:
    arrays = read_examples(trial_id, store=store)
    if arrays is None or arrays["inputs"].ndim != 3 or arrays["inputs"].shape[2] > 2:
        return None
    real = arrays.get("mask", np.ones_like(arrays["gates"])) > 0
    return Examples(inputs=arrays["inputs"], gates=arrays["gates"], real=real)


def _picture(
    examples: Examples, trial: dict[str, Any], *, problem: str, note: str, about: Mapping[str, Sequence[str]]
) -> Picture:
    label = str(trial["label"])
    shown = IMAGES if examples.are_images else SIGNALS
    shown = min(shown, len(examples.inputs))
    figure = _draw_images(examples, shown) if examples.are_images else _draw_signals(examples, shown)
    figure.suptitle(f"{problem}: {label}", fontsize=11)
    kind = "pixels" if examples.are_images else "samples"
    ratio = examples.gates[:shown][examples.real[:shown]].mean()
    return Picture(
        name=f"used-{slug(f'{problem} {label}')}",
        title=f"{problem}: {label}",
        caption=f"Test sequences with used {kind} red and skipped {kind} blue, after training in "
        f"{framework_name(trial['framework'])} with seed {trial['seed']}, "
        f"{evaluation_words([trial['reported']])}.{note}",
        alternative=f"{shown} test sequences of {problem} for {label}; {ratio:.0%} of their {kind} are used.",
        figure=figure,
        data=_data(examples, shown),
        about=about,
    )


def _data(examples: Examples, shown: int) -> pd.DataFrame:
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
        steps = np.flatnonzero(examples.real[row])
        values = examples.inputs[row, steps, 0]
        used = examples.gates[row, steps] > 0
        axes.plot(steps, values, color="#BBBBBB", linewidth=0.8, zorder=1)
        axes.scatter(steps[used], values[used], s=16, color=USED, zorder=3)
        axes.scatter(steps[~used], values[~used], s=16, facecolor="white", edgecolor=SKIPPED, linewidth=1.1, zorder=2)
        if marked:
            at = examples.inputs[row, steps, 1] > 0
            axes.scatter(steps[at], values[at], s=90, facecolor="none", edgecolor=INK, linewidth=1.2, zorder=4)
        axes.margins(x=0.02, y=0.2)
    panels[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    panels[-1].set_xlabel("time step")
    figure.supylabel("input", fontsize=10)
    handles = [
        Line2D([], [], linestyle="", marker="o", color=USED, label="used"),
        Line2D([], [], linestyle="", marker="o", color=SKIPPED, markerfacecolor="white", label="skipped"),
    ]
    if marked:
        ring = {"linestyle": "", "marker": "o", "markersize": 10, "markerfacecolor": "none"}
        handles.append(Line2D([], [], color=INK, label="marked", **ring))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_images(examples: Examples, shown: int) -> Figure:
    """Ink dark on a light ground, in the red of used or the blue of skipped pixels."""
    columns = min(IMAGE_COLUMNS, shown)
    rows = -(-shown // columns)
    figure = new_figure(height=WIDTH / columns * rows + 0.7)
    side = math.isqrt(examples.inputs.shape[1])
    brightest = float(examples.inputs.max()) or 1.0
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for position, axes in enumerate(panels):
        axes.set_axis_off()
        if position >= shown:
            continue
        ink = (examples.inputs[position, :, 0] / brightest)[:, np.newaxis]
        used = examples.gates[position][:, np.newaxis] > 0
        colour = np.where(used, to_rgb(USED), to_rgb(SKIPPED))
        ground = 1 - 0.22 * (1 - colour)
        picture = (ground + (colour - ground) * ink).reshape(side, side, 3)
        axes.imshow(picture, interpolation="nearest")
    handles = [Patch(color=USED, label="used"), Patch(color=SKIPPED, label="skipped")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure
