"""The work of a report grows with its trials, not with their square; figures stop growing."""

from __future__ import annotations

import cProfile
import pstats

import pytest

from bench.report.comparison.paired_differences import compare
from bench.report.figures.parts import LARGEST, MOST, parts
from bench.report.frames import trials_frame
from bench.report.html.rendering import render
from bench.report.page import sections
from bench.report.tables.formats import to_long_latex, to_markdown
from bench.report.tables.printed import printed
from bench.report.tables.results import aggregate, readable
from tests.bench.report.many import SHARE, many_records


def calls(costs: int, tmp_path) -> int:
    """How many functions are called for the tables and the page of so many λ."""
    records = [record for _, record in many_records(costs)]
    profile = cProfile.Profile()
    with profile:
        frame = trials_frame(records)
        table = aggregate(frame)
        text = readable(table)
        comparison = compare(frame, apart="framework")
        to_markdown(text.varying)
        to_long_latex(printed(table), caption="", label="")
        told = [sections.summary(frame, comparison, verdicts=[]), sections.results(text), sections.provenance(frame)]
        render(title="", description="", sections=told, figures=tmp_path)
    return pstats.Stats(profile).total_calls


def test_twice_the_trials_are_no_more_than_twice_the_calls(tmp_path):
    calls(1, tmp_path)  # what is done once, such as imports
    few, twice, four = (calls(costs, tmp_path) for costs in (2, 4, 8))
    assert (four - twice) <= 2.2 * (twice - few), (few, twice, four)
    assert SHARE * 8 == 128


@pytest.mark.parametrize("count", [1, LARGEST, LARGEST + 1, 1000])
def test_figures_are_as_many_as_can_be_looked_at(count):
    labels = [str(number) for number in range(count)]
    made = parts(labels)
    assert len(made) == min(MOST, -(-count // LARGEST))
    assert all(len(part.labels) <= LARGEST for part in made)
    assert [*(label for part in made for label in part.labels), *made[-1].rest] == labels
