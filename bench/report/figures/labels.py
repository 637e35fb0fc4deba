"""Places text beside points so that no label covers another label or a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

# Distances in points; the farther rings get a line back to their point.
RINGS = (9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0)
DIRECTIONS = 16
POINT_RADIUS = 5.0


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
    frame = axes.get_window_extent(renderer)
    radius = POINT_RADIUS * pixels
    taken = [
        Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)
        for x, y in axes.transData.transform(list(points)).tolist()
    ]
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
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
        )
        assert note.arrow_patch is not None
        note.arrow_patch.set_visible(False)
        size = note.get_window_extent(renderer)
        best: tuple[float, float, float, Bbox] | None = None
        for distance, angle in (
            (ring, 2 * math.pi * step / DIRECTIONS) for ring in RINGS for step in range(DIRECTIONS)
        ):
            right = (distance + size.width / pixels / 2) * math.cos(angle)
            up = (distance + size.height / pixels / 2) * math.sin(angle)
            box = size.translated(right * pixels, up * pixels)
            covered = sum(_overlap(box, other) for other in taken)
            outside = box.width * box.height - _overlap(box, frame)
            cost = covered + outside
            if best is None or cost < best[0]:
                best = (cost, right, up, box)
            if cost < 1e-6:
                break
        assert best is not None
        _, right, up, box = best
        note.set_position((right, up))
        taken.append(box)
        if math.hypot(right, up) > RINGS[1] + size.width / pixels / 2:
            note.arrow_patch.set_visible(True)


def _overlap(one: Bbox, other: Bbox) -> float:
    """The common area, in pixels squared."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
