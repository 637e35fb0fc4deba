"""A figure's files: what a PNG shows in a palette is what was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from bench.report.figures.style import CELL_COLOURS, DOTS_PER_INCH, Picture, house_style, new_figure, save


def test_a_png_of_256_colours_shows_what_was_drawn(tmp_path: Path) -> None:
    with house_style():
        figure = new_figure(height=3.0)
        axes = figure.subplots()
        for number, colour in enumerate(CELL_COLOURS.values()):
            axes.plot([0, 1, 2], [number, 2, 1], color=colour)
            axes.fill_between([0, 1, 2], [number, 1, 1], number + 1, color=colour, alpha=0.2)
        picture = Picture(
            name="drawn", title="", caption="", alternative="", figure=figure, data=pd.DataFrame({"value": [1.0]})
        )
        save(picture, folder=tmp_path)
        figure.savefig(tmp_path / "whole.png", dpi=DOTS_PER_INCH)
    with Image.open(tmp_path / "drawn.png") as image, Image.open(tmp_path / "whole.png") as whole:
        assert image.mode == "P"
        found, expected = (np.asarray(one.convert("RGB"), dtype=float) for one in (image, whole))
    assert np.abs(found - expected).mean() < 0.5  # of 255
    assert np.quantile(np.abs(found - expected), 0.999) < 24
