"""What a drawing says once it has been made smaller."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.report.figures.style import house_style, new_figure
from bench.report.figures.vector import vector_drawing

HREF = "{http://www.w3.org/1999/xlink}href"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture
def figure() -> Iterator[Figure]:
    """Lines, markers, areas, bars with hatches, turned text: all that refers to something else in an SVG."""
    generator = np.random.default_rng(0)
    with house_style():
        figure = new_figure(height=4)
        left, right = figure.subplots(1, 2)
        left.plot(generator.normal(size=40), marker="o", label='−1 & <b> id="n0"')
        left.scatter(generator.normal(size=20), generator.normal(size=20), marker="s")
        left.fill_between(range(5), range(5), alpha=0.3)
        left.set_ylabel("turned, $\\lambda^2$")
        left.legend()
        right.bar(["a", "b"], [1, 2], hatch="//")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        yield figure


def test_what_is_drawn_stays(figure: Figure) -> None:
    plain = io.BytesIO()
    figure.savefig(plain, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    ours = vector_drawing(figure)
    assert len(ours) < len(plain.getvalue())

    expected, found = (list(_drawn(ElementTree.fromstring(content))) for content in (plain.getvalue(), ours))
    assert len(expected) > 100
    assert [words for words, _ in found] == [words for words, _ in expected]
    for (words, places), (_, expected_places) in zip(found, expected, strict=True):
        assert np.allclose(places, expected_places, rtol=0, atol=0.00501), words


def test_the_same_figure_gives_the_same_bytes(figure: Figure) -> None:
    assert vector_drawing(figure) == vector_drawing(figure)


def _drawn(root: Element) -> Iterator[tuple[str, list[float]]]:
    """Each element in order, with what it refers to in the place of its name: words and numbers apart."""
    named = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}

    def meant(name: str) -> str:
        definition = named[name]
        inner = "".join(ElementTree.tostring(part, encoding="unicode") for part in definition)
        return f"{definition.tag}{ {key: value for key, value in definition.attrib.items() if key != 'id'} }{inner}"

    for element in root.iter():
        text = element.tag
        for key, value in sorted(element.attrib.items()):
            if key == HREF:
                value = meant(value.removeprefix("#"))
            elif key != "id":
                value = re.sub(r"url\(#([^)]*)\)", lambda found: meant(found[1]), value)
            else:
                continue
            text += f" {key}={value}"
        yield NUMBER.sub("0", re.sub(r"\s+", " ", text)), [float(number) for number in NUMBER.findall(text)]
