"""The page: sections of prose, tables and figures, rendered into one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2

from bench.report.figures.style import Picture, slug
from bench.report.html.tables import Identifiers, LaidOut, PageTable, lay_out

# What a section is built from; tables are laid out in a file of their own.
__all__ = ["Details", "PageTable", "Section", "render"]

# A larger drawing goes into the page as pixels.
LARGEST_SVG_BYTES = 200_000
# What stands as it is in a data address, besides letters and digits: nothing that would end an attribute or a tag.
STAND_IN_ADDRESSES = " !$'*+,-./:;=?@[]_{}"
# What a figure is had as, by ending.
FILES = (("png", "PNG"), ("svg", "SVG"), ("pdf", "PDF"), ("csv", "data (CSV)"))


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


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section in its place on a page: its identifier is the page's only one of that name."""

    section: Section
    identifier: str
    tables: Sequence[LaidOut]


def named_apart(sections: Sequence[Section]) -> list[Section]:
    """The sections with a name of its own for every figure: two that share one would share their files."""
    names = Identifiers()
    return [
        replace(section, pictures=[replace(picture, name=names.new(picture.name)) for picture in section.pictures])
        for section in sections
    ]


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
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.get_template("page.html").render(
        title=title,
        description=description,
        parts=_parts(sections),
        files=FILES,
        style=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        source=lambda picture: _data_address(picture, figures=figures),
    )


def _parts(sections: Sequence[Section]) -> list[Part]:
    identifiers = Identifiers()
    parts = []
    for section in sections:
        identifier = identifiers.new(section.identifier or "section")
        tables = [lay_out(table, within=identifier, identifiers=identifiers) for table in section.tables]
        parts.append(Part(section=section, identifier=identifier, tables=tables))
    return parts


def _data_address(picture: Picture, *, figures: Path) -> str:
    drawing = (figures / f"{picture.name}.svg").read_bytes()
    if len(drawing) <= LARGEST_SVG_BYTES:
        # Most of a drawing may stand in an address as it is: a fifth less than in base64.
        in_one_line = drawing.replace(b"\n", b" ")
        return f"data:image/svg+xml,{urllib.parse.quote(in_one_line, safe=STAND_IN_ADDRESSES)}"
    pixels = (figures / f"{picture.name}.png").read_bytes()
    return f"data:image/png;base64,{base64.b64encode(pixels).decode()}"
