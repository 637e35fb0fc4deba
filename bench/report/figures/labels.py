"""Places text beside points, each with a line to its point, so that no label covers another label or a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import BboxBase

from impls.contract import Array

# Distances in points.
RINGS = (9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0)
DIRECTIONS = 16
POINT_RADIUS = 5.0
# Places along a line to a label that further labels keep clear of.
LEADER_PLACES = 10


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text that belongs to a place in data coordinates."""

    x: float
    y: float
    text: str
    colour: tuple[float, float, float]


def place_labels(
    figure: Figure,
    axes: Axes,
    labels: Sequence[Label],
    *,
    points: Sequence[tuple[float, float]],
) -> None:
    """Writes each label near its place, inside the axes where there is room.

    Args:
        figure, axes: already laid out but for the labels; the layout is frozen here.
        labels: what to write where.
        points: places of markers and lines, in data coordinates, that must stay visible.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    pixels = figure.dpi / 72
    frame = _corners(axes.get_window_extent(renderer))
    centres = axes.transData.transform(np.reshape(list(points), (-1, 2)))
    radius = POINT_RADIUS * pixels
    taken = np.hstack([centres - radius, centres + radius])
    for label in labels:
        note = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            color=label.colour,
            arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )
        assert note.arrow_patch is not None
        note.arrow_patch.set_visible(False)  # which would count as a part of the text
        size = note.get_window_extent(renderer)
        offsets = _offsets(width=size.width / pixels, height=size.height / pixels)
        boxes = _corners(size) + pixels * np.hstack([offsets, offsets])
        covered = _overlaps(boxes, taken).sum(axis=1)
        outside = size.width * size.height - _overlaps(boxes, frame[np.newaxis])[:, 0]
        cost = covered + outside
        # The nearest of the places that are as good as the best.
        best = int(np.argmax(cost <= max(float(cost.min()), 1e-6)))
        right, up = offsets[best].tolist()
        note.set_position((right, up))
        along = np.linspace((0, 0), (right, up), LEADER_PLACES)[1:] * pixels + axes.transData.transform(
            (label.x, label.y)
        )
        taken = np.vstack([taken, boxes[best], np.hstack([along - pixels, along + pixels])])
        note.arrow_patch.set_visible(True)


def _offsets(*, width: float, height: float) -> Array:
    """Where a label of this size may stand beside its place, `[places, 2]` in points, the nearest first."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    rings = np.array(RINGS)[:, np.newaxis]
    places = np.stack([(rings + width / 2) * np.cos(angles), (rings + height / 2) * np.sin(angles)], axis=-1)
    return places.reshape(-1, 2)


def _corners(box: BboxBase) -> Array:
    """`[left, bottom, right, top]` in pixels."""
    return np.array([box.x0, box.y0, box.x1, box.y1])


def _overlaps(ones: Array, others: Array) -> Array:
    """The common areas of boxes `[n, 4]` and `[m, 4]`, `[n, m]` in pixels squared."""
    low = np.maximum(ones[:, np.newaxis, :2], others[np.newaxis, :, :2])
    high = np.minimum(ones[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    return np.asarray(np.clip(high - low, 0.0, None).prod(axis=-1))
