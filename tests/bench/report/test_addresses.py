"""Addresses of rows and names of figures: each its own, and made of what a row is, not of how it came out."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from bench.report.comparison.paired_differences import compare
from bench.report.comparison.skipping import skipping_against_plain
from bench.report.comparison.tables import cost_table, outcome_table, skipping_table
from bench.report.figures.style import LONGEST_NAME, Picture, new_figure, slug
from bench.report.frames import read_records, sweep_frame
from bench.report.html.rendering import PageTable, Section, named_apart
from bench.report.html.tables import Identifiers, lay_out
from bench.report.tables.results import aggregate, readable
from tests.bench.report.stored import Stored

TABLES = {
    "results": lambda frame: readable(aggregate(frame)).varying,
    "outcome": lambda frame: outcome_table(compare(frame, apart="framework")),
    "cost": lambda frame: cost_table(compare(frame, apart="framework")),
    "skipping": lambda frame: skipping_table(skipping_against_plain(frame)),
}


@pytest.fixture(scope="module")
def frame(stored: Stored) -> pd.DataFrame:
    return sweep_frame(read_records("stored", results=stored.results), trials=stored.trials)


@pytest.mark.parametrize("name", TABLES)
def test_a_link_to_a_row_holds_when_its_numbers_change(name: str, frame: pd.DataFrame) -> None:
    changed = frame.copy()
    some = changed["cell"].str.startswith("skip") & (changed["framework"] == "pytorch")
    for measure, factor in (("quality", 0.5), ("step_milliseconds", 30.0), ("inference_milliseconds", 0.1)):
        changed.loc[some, measure] *= factor
    texts = [TABLES[name](one) for one in (frame, changed)]
    assert not texts[0].equals(texts[1])
    addresses = [
        [
            row.identifier
            for row in lay_out(PageTable(caption=name, text=text), within="s", identifiers=Identifiers()).rows
        ]
        for text in texts
    ]
    assert addresses[0] == addresses[1]
    assert len(set(addresses[0])) == len(texts[0])


def test_a_file_name_tells_a_sign_and_fits_every_disk() -> None:
    assert slug("digits, update bias = -1") != slug("digits, update bias = 1")
    assert slug("T = 50, λ = 1e-5") == "t-50-lambda-1e-5"
    long = [f"{'option = value, ' * 40}{end}" for end in "ab"]
    assert len({slug(text) for text in long}) == 2
    assert all(len(slug(text)) <= LONGEST_NAME + 9 and re.fullmatch(r"[a-z0-9.-]+", slug(text)) for text in long)


def test_two_figures_never_share_a_file() -> None:
    def picture(caption: str) -> Picture:
        return Picture(
            name="used", title="", caption=caption, alternative="", figure=new_figure(height=1.0), data=pd.DataFrame()
        )

    sections = [
        Section(title="A", pictures=[picture("one"), picture("two")]),
        Section(title="B", pictures=[picture("three")]),
    ]
    names = {each.caption: each.name for section in named_apart(sections) for each in section.pictures}
    assert names["one"] == "used"
    assert len(set(names.values())) == 3
