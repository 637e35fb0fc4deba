"""A figure as SVG, in four fifths of Matplotlib's bytes: a page holds its drawings, and a repository its reports."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from matplotlib.figure import Figure

# What holds places, in points or in units of a glyph, and numbers there that are longer than anybody sees.
PLACES = re.compile(rb' (d|x|y|points)="[^"]*"|translate\([^)]*\)')
LONG = re.compile(rb"-?\d+\.\d{3,}")
INDENTATION = re.compile(rb"\s*\n\s*")
IDENTIFIER = re.compile(rb' id="([^"]*)"')
REFERENCE = re.compile(rb'(url\(#|href="#)([^")]+)')


def vector_drawing(figure: Figure) -> bytes:
    """An SVG file without metadata; the same figure gives the same bytes.

    Places stand to a hundredth of a point, and nothing has a name that nothing else refers to: Matplotlib names every
    part for programs that edit the drawing, and what is drawn twice by a checksum.
    """
    drawn = io.BytesIO()
    nothing: Mapping[str, None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(drawn, format="svg", metadata=nothing)
    rounded = PLACES.sub(lambda places: LONG.sub(_hundredths, places[0]), drawn.getvalue())
    return _briefly_named(INDENTATION.sub(b"\n", rounded))


def _hundredths(number: re.Match[bytes]) -> bytes:
    return f"{float(number[0]):.2f}".encode()


def _briefly_named(drawing: bytes) -> bytes:
    referred_to = dict.fromkeys(reference[2] for reference in REFERENCE.finditer(drawing))
    names = {name: f"n{number}".encode() for number, name in enumerate(referred_to)}

    def named(found: re.Match[bytes]) -> bytes:
        return b' id="%s"' % names[found[1]] if found[1] in names else b""

    return REFERENCE.sub(lambda found: found[1] + names[found[2]], IDENTIFIER.sub(named, drawing))
