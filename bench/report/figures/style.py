"""How every figure looks: colours of cells, markers of frameworks, sizes, and how a figure is saved."""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter
from PIL import Image

from bench.report.figures.vector import vector_drawing
from bench.report.names import cell_name, framework_name, metric_unit
from bench.report.numbers import exact
from impls.kinds import cells as known_cells

# Okabe and Ito's palette: apart for colour-blind eyes. A family of cells is warm or cool, its skip cell lighter.
CELL_COLOURS = {"lstm": "#0072B2", "gru": "#D55E00", "skip_lstm": "#56B4E9", "skip_gru": "#E69F00"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#7F7F7F", "#000000")
FRAMEWORK_MARKERS = {"pytorch": "o", "tensorflow": "s"}
FRAMEWORK_HATCHES = {"pytorch": "", "tensorflow": "////"}
OTHER_MARKERS = ("D", "^", "v", "P")
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.2), (6, 1.5, 1, 1.5), (2.5, 1, 1, 1, 1, 1))
USED, SKIPPED = "#B2182B", "#2166AC"
# Errors span orders of magnitude; their axes are logarithmic.
LOGARITHMIC_METRICS = ("mean_squared_error",)
# Numbers whose span is a smaller share of them are drawn as the same.
LEAST_SPAN = 1e-9
INK, FAINT = "#222222", "#767676"
WIDTH = 5.6
# Characters of a line of a label beside a panel, and of a title over one.
LABEL_LINE, TITLE_LINE = 36, 64
# Inches that a line of a label takes.
LINE_HEIGHT = 0.16
SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "text.color": INK,
    "hatch.linewidth": 0.7,
    "axes.formatter.useoffset": False,
    # Fixed, so that the same records give the same bytes.
    "svg.hashsalt": "skiprnn-bench",
    "svg.fonttype": "path",
    # What an option or a metric is called is no formula, whatever it holds.
    "text.parse_math": False,
    "path.sketch": None,
}
DOTS_PER_INCH = 150
COLOURS = 256
# Of a file's name; most disks take 255 bytes.
LONGEST_NAME = 150


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn figure with its words and the data behind it.

    Attributes:
        name: the file's name without its ending.
        title, caption: for people; the caption says how to read it.
        alternative: what it shows, for those who do not see it.
        about: the tasks, cells and frameworks that it shows, for filters (see `topics`); empty shows it always.
    """

    name: str
    title: str
    caption: str
    alternative: str
    figure: Figure
    data: pd.DataFrame
    about: Mapping[str, Sequence[str]] = field(default_factory=dict)


@contextmanager
def house_style() -> Iterator[None]:
    """Seaborn's white grid with this project's sizes, for the figures drawn and saved inside."""
    settings: Any = dict(sns.axes_style("whitegrid")) | SETTINGS
    with mpl.rc_context(settings):
        yield


def new_figure(*, height: float, width: float = WIDTH) -> Figure:
    """An empty figure that no global state knows; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def wrapped(text: str, *, width: int = LABEL_LINE) -> str:
    """A label or title in lines of at most this many characters, broken behind its commas and colons."""
    parts = re.sub(r"(?<![,:]) ", "\N{NO-BREAK SPACE}", text)
    return "\n".join(textwrap.wrap(parts, width, break_on_hyphens=False)).replace("\N{NO-BREAK SPACE}", " ")


def label_height(labels: Sequence[str]) -> float:
    """Inches that the tallest of the wrapped labels takes."""
    return LINE_HEIGHT * max(label.count("\n") + 1 for label in labels)


def save(picture: Picture, *, folder: Path) -> None:
    """Writes `<name>.svg`, `.png`, `.pdf` and `.csv`; the same picture gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    # Laying out is most of the work, and once is enough.
    if (layout := picture.figure.get_layout_engine()) is not None:
        layout.execute(picture.figure)
        picture.figure.set_layout_engine(None)  # with "none", a placeholder, each file would be drawn twice
    (folder / f"{picture.name}.svg").write_bytes(vector_drawing(picture.figure))
    _save_png(picture.figure, folder / f"{picture.name}.png")
    undated: Any = {"CreationDate": None, "Creator": None, "Producer": None}
    picture.figure.savefig(folder / f"{picture.name}.pdf", dpi=2 * DOTS_PER_INCH, metadata=undated)
    picture.data.to_csv(folder / f"{picture.name}.csv", index=False)


def _save_png(figure: Figure, path: Path) -> None:
    """With a palette of its own, which take a third of the bytes and look the same."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 0})
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def cell_colours(cells: list[str]) -> dict[str, str]:
    """A colour for every cell; the same cell has the same in all figures."""
    others = [cell for cell in dict.fromkeys([*known_cells(), *sorted(cells)]) if cell not in CELL_COLOURS]
    further = {cell: OTHER_COLOURS[number % len(OTHER_COLOURS)] for number, cell in enumerate(others)}
    return {cell: (CELL_COLOURS | further)[cell] for cell in sorted(cells)}


def framework_markers(frameworks: list[str]) -> dict[str, str]:
    """A marker for every framework."""
    others = iter(OTHER_MARKERS * len(frameworks))
    return {name: FRAMEWORK_MARKERS.get(name) or next(others) for name in sorted(frameworks)}


def darker(colour: str) -> tuple[float, float, float]:
    """The colour as text, which needs more contrast than a marker."""
    red, green, blue = to_rgb(colour)
    return 0.6 * red, 0.6 * green, 0.6 * blue


def slug(text: str) -> str:
    """A file name out of a problem's name: letters, digits, dots and hyphens, of a length that every disk takes."""
    plain = re.sub(r"(?<!\w)[-−](?=[\d.])", "minus ", text.lower().replace("λ", "lambda"))
    kept = "".join(
        character if (character.isascii() and character.isalnum()) or character == "." else "-" for character in plain
    )
    name = "-".join(part for part in kept.split("-") if part)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def show_in_percent(axis: Axis) -> None:
    """Ticks of shares as percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}"))


class PowersInText(LogFormatter):
    """Labels of a logarithmic axis, such as 0.01 and 2e-4, at the ticks that Matplotlib labels with formulas."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Empty for a tick without a label."""
        return exact(float(f"{x:.6g}")) if super().__call__(x, pos) else ""


def scale_quality(axes: Axes, *, metric: str, low: float, high: float) -> None:
    """The axis of quality, y: shares in percent; errors, which span orders of magnitude, on a logarithmic scale.

    Args:
        axes: where nothing is drawn yet.
        metric: as in records.
        low, high: of all that will be drawn.
    """
    if metric_unit(metric) == "%":
        show_in_percent(axes.yaxis)
    if metric in LOGARITHMIC_METRICS and low > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(PowersInText())
        axes.yaxis.set_minor_formatter(PowersInText())
    if high - low <= LEAST_SPAN * abs(high):  # the same everywhere, but for rounding: no span to scale to
        room = 0.1 * abs(high) or 0.1
        axes.set_ylim(low - room, high + room)


def topics(trials: pd.DataFrame) -> dict[str, list[str]]:
    """What figures of these trials are filtered by: problems, cells and frameworks, by their names for people."""
    return {
        "task": list(trials["problem"].unique()),
        "cell": list(map(cell_name, trials["cell"].unique())),
        "framework": list(map(framework_name, trials["framework"].unique())),
    }
