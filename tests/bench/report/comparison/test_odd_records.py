"""Odd records make sentences, in the page's sections and in the terminal: no traceback, no empty plot."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from rich.console import Console

from bench import report
from bench.plan.trial import Trial
from bench.records.record import Record, failure
from bench.records.store import Store
from bench.report.comparison.comparisons import compare_all
from bench.report.figures.style import house_style
from bench.report.frames import trials_frame
from bench.report.page.comparisons import comparison_sections
from tests.bench.report.stored import list_sweep, ok_record, trial, write_run

FRAMEWORKS = ("pytorch", "tensorflow")


def of(framework: str, seed: int) -> Trial:
    return trial("digits", "skip_gru", framework, seed=seed)


def ok(framework: str, seed: int, quality: float = 0.5) -> Record:
    return ok_record(of(framework, seed), quality=quality, update_ratio=0.5)


CASES: dict[str, tuple[Callable[[], Iterable[Record]], str]] = {
    "one framework alone": (
        lambda: [ok("pytorch", seed) for seed in range(5)],
        "All trials are of PyTorch, so there is nothing to compare.",
    ),
    "one pair": (
        lambda: [ok(framework, 0) for framework in FRAMEWORKS],
        "PyTorch and TensorFlow, 1 pair in 1 configuration: quality 1 undecided; update ratio 1 undecided.",
    ),
    "no spread": (
        lambda: [ok(framework, seed) for framework in FRAMEWORKS for seed in range(5)],
        "PyTorch and TensorFlow, 5 pairs in 1 configuration: quality 1 equivalent; update ratio 1 equivalent.",
    ),
    "a quality that is no number": (
        lambda: [ok("pytorch", 0), ok("tensorflow", 0, float("nan"))],
        "sequential digits, T = 64, Skip GRU: quality left out of seed 0: not a finite number.",
    ),
    "no seed in common": (
        lambda: [ok("pytorch", 0), ok("tensorflow", 1)],
        "The frameworks have no seed in common, so no two trials form a pair.",
    ),
    "all failed": (
        lambda: [failure(of(framework, 0), status="failed", error="MemoryError") for framework in FRAMEWORKS],
        "No trial ended ok, so there is nothing to compare.",
    ),
    "one framework failed": (
        lambda: [ok("pytorch", 0), failure(of("tensorflow", 0), status="failed", error="MemoryError")],
        "Only trials of PyTorch ended ok, so there is nothing to compare.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_terminal_says_it_in_a_sentence(case: str, tmp_path: Path) -> None:
    make, sentence = CASES[case]
    records = list(make())
    store = Store(tmp_path)
    for record in records:
        if record.status == "ok" and record.quality == record.quality:
            write_run(store, record)
        else:
            store.write(record)
    list_sweep(tmp_path, [record.trial for record in records])
    output = io.StringIO()
    report.print_comparison("stored", results=tmp_path, console=Console(file=output, width=100))
    assert sentence in output.getvalue()
    assert "nan" not in output.getvalue().lower()


@pytest.mark.parametrize("case", CASES)
def test_the_page_s_sections_hold_no_empty_table_or_plot(case: str) -> None:
    make, sentence = CASES[case]
    frame = trials_frame(make())
    with house_style():
        sections = comparison_sections(compare_all(frame), frame)
    told = [line for section in sections for line in (*section.prose, *section.points)]
    if "pair in" not in sentence and "pairs in" not in sentence:  # that one stands in the summary
        assert sentence in told
    assert all(len(table.text) for section in sections for table in section.tables)
    assert all(len(picture.data) for section in sections for picture in section.pictures)
    assert all(section.prose or section.points for section in sections)


def test_a_metric_without_a_margin_is_compared_without_a_verdict() -> None:
    frame = trials_frame([ok(framework, seed) for framework in FRAMEWORKS for seed in range(5)])
    frame["quality_metric"] = "word_error_rate"
    summary = compare_all(frame).frameworks.summary.set_index("measure")
    assert summary.loc["quality", "mean"] == 0
    assert summary.loc["quality", "verdict"] == ""
    assert summary.loc["update_ratio", "verdict"] == "equivalent"
