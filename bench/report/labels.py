"""Places text beside points so that no label covers another label or a point."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

# Distances in points; the farther rings get a line back to their point.
RINGS = (9.0, 16.0, 26.0, 38.0, 52.0, 68.0, 86.0)
DIRECTIONS = 16
POINT_RADIUS = 5.0


def place_labels(
    figure: Figure,
    axes: Axes,
    labels: Sequence[tuple[float, float, str]],
    *,
    points: Sequence[tuple[float, float]],
) -> None:
    """Writes each (x, y, text) near its place in data coordinates, inside the axes where there is room.

    Args:
        figure, axes: already laid out but for the labels; the layout is frozen here.
        labels: what to write where.
        points: markers, in data coordinates, that must stay visible.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer = figure.canvas.get_renderer()
    pixels = figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    radius = POINT_RADIUS * pixels
    taken = [
        Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)
        for x, y in axes.transData.transform(list(points)).tolist()
    ]
    for x, y, text in labels:
        note = axes.annotate(
            text,
            (x, y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
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
    return max(0.0, width) * max(0.0, height)
