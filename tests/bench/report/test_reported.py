"""Every table, figure and sentence that shows quality names the evaluation that it is of."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.report.comparison.paired_differences import compare
from bench.report.comparison.tables import outcome_table
from bench.report.figures import differences, quality
from bench.report.frames import read_records, trials_frame
from bench.report.names import evaluation_name
from bench.report.page import sections
from bench.report.tables.results import aggregate, readable
from tests.bench.report.stored import Stored, ok_record, trial

WORDS = {
    "adding problem": "after the last training step",
    "sequential digits": "with the parameters that were best on validation",
}


@pytest.fixture
def frame(stored: Stored) -> pd.DataFrame:
    return trials_frame(read_records("stored", results=stored.results).records.values())


def test_tables_have_a_column_for_it(frame: pd.DataFrame) -> None:
    for shown in (readable(aggregate(frame)).varying, outcome_table(compare(frame, apart="framework"))):
        for task, rows in shown.groupby("task"):
            reported = "last" if str(task).startswith("adding problem") else "best validation"
            assert {evaluation_name(name) for name in rows["reported"]} == {reported}


def test_the_column_stays_where_every_row_has_the_same() -> None:
    same = trials_frame([ok_record(trial("adding", cell, "pytorch"), quality=0.1) for cell in ("lstm", "gru")])
    assert readable(aggregate(same)).varying["reported"].tolist() == ["last", "last"]


def test_captions_and_sentences_say_it_in_words(frame: pd.DataFrame) -> None:
    comparison = compare(frame, apart="framework")
    pictures = quality.quality_against_update_ratio(frame) + differences.framework_differences(comparison, frame)
    assert {picture.name.split("-")[0] for picture in pictures} == {"quality", "frameworks"}
    for picture in pictures:
        assert WORDS[picture.title.partition(",")[0]] in picture.caption
    for task, point in zip(WORDS, sections.summary(frame, comparison, verdicts=[]).points, strict=False):
        assert WORDS[task] in point


def test_numbers_of_two_evaluations_are_neither_averaged_nor_paired() -> None:
    """A record from before `reported` was told stands beside newer ones."""
    old = ok_record(trial("adding", "lstm", "pytorch"), quality=0.1).model_copy(update={"reported": "best_validation"})
    seed = ok_record(trial("adding", "lstm", "pytorch", seed=1), quality=0.3)
    twin = ok_record(trial("adding", "lstm", "tensorflow"), quality=0.2)
    frame = trials_frame([old, seed, twin])
    table = aggregate(frame)
    means = dict(zip(zip(table["framework"], table["reported"], strict=True), table["quality_mean"], strict=True))
    assert means == {("pytorch", "best_validation"): 0.1, ("pytorch", "last"): 0.3, ("tensorflow", "last"): 0.2}
    comparison = compare(frame, apart="framework")
    assert comparison.pairs.empty
    assert comparison.refused["reason"].tolist() == ["different reported evaluations"]
