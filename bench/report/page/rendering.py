"""The page: sections of prose, tables and figures, rendered into one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd

from bench.report.figures.style import Picture, slug
from bench.report.names import head

# A larger drawing goes into the page as pixels.
LARGEST_SVG_BYTES = 200_000


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """A table of text; rows whose `status` is not ok are marked."""

    caption: str
    text: pd.DataFrame
    note: str = ""

    @property
    def columns(self) -> list[str]:
        """Column names, as in the record."""
        return [str(name) for name in self.text.columns]

    @property
    def rows(self) -> list[list[str]]:
        """The cells."""
        return [list(map(str, row)) for row in self.text.to_numpy().tolist()]

    def troubled(self, row: Sequence[str]) -> bool:
        """Whether a row stands for trials that did not all end well."""
        return "status" in self.columns and row[self.columns.index("status")] != "ok"


@dataclass(frozen=True, kw_only=True)
class Details:
    """A line that opens to show text as it was printed, such as a traceback."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page; every part is optional."""

    title: str
    prose: Sequence[str] = ()
    points: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[PageTable] = ()
    pictures: Sequence[Picture] = ()
    details: Sequence[Details] = ()
    links: Sequence[tuple[str, str]] = ()
    folded: bool = False

    @property
    def identifier(self) -> str:
        """The section's place in the page's addresses."""
        return slug(self.title)


def render(*, title: str, description: str, sections: Sequence[Section], figures: Path) -> str:
    """The page's HTML; the pictures' files are read from the folder `figures` and held in the page."""
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["head"] = head
    return environment.get_template("page.html").render(
        title=title,
        description=description,
        sections=sections,
        style=(here / "page.css").read_text(encoding="utf-8"),
        source=lambda picture: _data_address(picture, figures=figures),
    )


def _data_address(picture: Picture, *, figures: Path) -> str:
    drawing = (figures / f"{picture.name}.svg").read_bytes()
    kind = "svg+xml"
    if len(drawing) > LARGEST_SVG_BYTES:
        drawing, kind = (figures / f"{picture.name}.png").read_bytes(), "png"
    return f"data:image/{kind};base64,{base64.b64encode(drawing).decode()}"
