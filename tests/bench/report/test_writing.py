"""A whole report: the page, its files, its holes; the same bytes twice; nothing half-written."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench import report
from bench.errors import RecordError
from bench.records.store import Store
from bench.report import writing
from tests.bench.report.outline import Outline
from tests.bench.report.stored import SWEEP, list_sweep, ok_record, trial, write_run


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    parsed = Outline()
    parsed.feed(page.read_text(encoding="utf-8"))
    parsed.close()
    return parsed


def text_of(page: Path) -> str:
    """The page's words, without markup and pictures."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8")))


def test_the_page_needs_no_other_file_and_no_network(page, outline):
    assert not outline.open
    assert all(image["src"].startswith("data:image/") for image in outline.all("img"))
    assert not outline.all("link")
    assert all("src" not in script for script in outline.all("script"))
    assert "@import" not in page.read_text(encoding="utf-8")
    assert "url(" not in page.read_text(encoding="utf-8")


def test_the_page_fits_a_phone_and_a_screen_reader(outline):
    assert any(meta.get("name") == "viewport" for meta in outline.all("meta"))
    assert all(image["alt"] for image in outline.all("img"))
    assert outline.all("html") == [{"lang": "en-GB"}]
    assert len(outline.all("h1")) == 1


def test_links_lead_to_files_beside_the_page_or_to_its_parts(page, outline):
    parts = {attributes["id"] for _, attributes in outline.elements if "id" in attributes}
    for link in outline.all("a"):
        address = link["href"]
        if address.startswith("#"):
            assert address[1:] in parts
        else:
            assert (page.parent / address).is_file()


def test_the_page_says_what_ran_and_what_did_not(page):
    text = text_of(page)
    assert "A stored sweep." in text
    assert "python run_all.py stored" in text
    assert "a processor" in text
    assert "16 trials: 13 ok, 1 diverged, 1 failed, 1 missing." in text
    assert "the training loss became nan at step 3" in text
    assert "MemoryError: no &lt;room&gt;" in text
    assert "Traceback: line 1" in text
    assert "different training batches" in text


def test_every_figure_has_its_formats_and_data(page):
    figures = page.parent / "figures"
    names = sorted(path.stem for path in figures.glob("*.svg"))
    assert names == sorted(path.stem for path in figures.glob("*.png"))
    assert names == sorted(path.stem for path in figures.glob("*.pdf"))
    assert names == sorted(path.stem for path in figures.glob("*.csv"))
    assert names == [
        "curves-adding-problem-t-10",
        "curves-sequential-digits-t-64",
        "frameworks-adding-problem-t-10",
        "paper-figure-2",
        "paper-figure-3",
        "quality-update-ratio-adding-problem-t-10",
        "quality-update-ratio-sequential-digits-t-64",
        "skipping-adding-problem-t-10",
        "step-times-adding-problem-t-10",
        "step-times-sequential-digits-t-64",
        "used-adding-problem-t-10-skip-lstm-lambda-0.01",
        "used-sequential-digits-t-64-skip-gru",
    ]


def test_the_data_behind_figures_are_the_records(page):
    figures = page.parent / "figures"
    curves = pd.read_csv(figures / "curves-adding-problem-t-10.csv").set_index(["framework", "label", "step"])
    point = curves.loc[("pytorch", "Skip LSTM, λ = 0.01", 20)]
    assert point["quality_mean"] == pytest.approx(0.2 + 1 / 20)
    assert point["quality_min"] == pytest.approx(0.1 + 1 / 20)
    assert point["quality_max"] == pytest.approx(0.3 + 1 / 20)
    assert point["seeds"] == 3
    times = pd.read_csv(figures / "step-times-adding-problem-t-10.csv").set_index(["framework", "label"])
    assert times.loc[("tensorflow", "Skip LSTM, λ = 0.01"), "step_milliseconds_mean"] == pytest.approx(35 / 3)
    used = pd.read_csv(figures / "used-sequential-digits-t-64-skip-gru.csv")
    assert used.groupby("sequence")["used"].sum().tolist() == [32] * 8  # every second of 64 pixels


def test_tables_are_written_for_machines(page):
    records = pd.read_csv(page.parent / "records.csv")
    assert len(records) == 16
    assert records["status"].value_counts().to_dict() == {"ok": 13, "diverged": 1, "failed": 1, "missing": 1}
    assert (records.loc[records["task"] == "adding", "options"] == "length=10").all()
    for name in (
        "results.csv",
        "results.md",
        "results.tex",
        "comparison.csv",
        "pairs.csv",
        "comparison.md",
        "comparison.tex",
    ):
        assert (page.parent / name).stat().st_size > 0


def test_the_report_judges_the_claims(page):
    assert "Claims of the paper and of this project" in page.read_text(encoding="utf-8")
    for name in ("claims.csv", "claims.md", "claims.tex"):
        assert "adding-baselines" in (page.parent / name).read_text(encoding="utf-8")


def test_the_paper_stands_beside_the_page(page):
    """Two lstm trials of three solved adding; the third failed in PyTorch, and diverged in TensorFlow."""
    table = (page.parent / "paper" / "table-1.md").read_text(encoding="utf-8")
    assert "| LSTM | PyTorch | 2 of 3 (1 failed) | 2 of 3 | 100.0 ± 0.0 | 0.0 |" in table
    assert "| LSTM | TensorFlow | 2 of 3 (1 diverged) | 2 of 3 (≠ paper) | 100.0 ± 0.0 | 0.0 |" in table
    assert "T = 10 instead of 50; 8 units instead of 110; 20 steps instead of 100,000 steps" in table
    article = (page.parent / "paper.tex").read_text(encoding="utf-8")
    for file in [*re.findall(r"\\input{(.*)}", article), *re.findall(r"\\includegraphics\[.*\]{(.*)}", article)]:
        assert (page.parent / file).is_file()
    assert {path.name for path in (page.parent / "paper").iterdir()} == {"table-1.csv", "table-1.md", "table-1.tex"}
    assert "Table 1: Adding task. Not the published protocol: T = 10 instead of 50" in text_of(page)


def test_the_same_records_give_the_same_bytes(page, stored, tmp_path):
    again = report.write_report(
        SWEEP,
        results=stored.results,
        reports=tmp_path,
        trials=stored.trials,
        command="python run_all.py stored",
        description="A stored sweep.",
    )
    first = {path.relative_to(page.parent): path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    second = {path.relative_to(again.parent): path.read_bytes() for path in again.parent.rglob("*") if path.is_file()}
    assert first.keys() == second.keys()
    assert [str(path) for path in first if first[path] != second[path]] == []


@pytest.fixture
def small(tmp_path) -> Path:
    """A results folder with one record."""
    made = trial("digits", "lstm", "pytorch")
    write_run(Store(tmp_path / "results"), ok_record(made, quality=0.8))
    list_sweep(tmp_path / "results", [made])
    return tmp_path / "results"


@pytest.mark.usefixtures("unsaved")
def test_a_report_replaces_the_one_before_and_leaves_nothing_else(small, tmp_path):
    reports = tmp_path / "reports"
    (reports / SWEEP).mkdir(parents=True)
    (reports / SWEEP / "old.html").write_text("old")
    page = report.write_report(SWEEP, results=small, reports=reports)
    assert page == reports / SWEEP / "index.html"
    assert not (reports / SWEEP / "old.html").exists()
    assert [path.name for path in reports.iterdir()] == [SWEEP]


def test_a_report_that_fails_leaves_the_one_before(small, tmp_path, monkeypatch):
    reports = tmp_path / "reports"
    (reports / SWEEP).mkdir(parents=True)
    (reports / SWEEP / "index.html").write_text("old")

    def fail(**_: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(writing, "render", fail)
    monkeypatch.setattr(writing, "save", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="no page"):
        report.write_report(SWEEP, results=small, reports=reports)
    assert (reports / SWEEP / "index.html").read_text() == "old"
    assert [path.name for path in reports.iterdir()] == [SWEEP]


def test_no_records_is_one_clear_line(tmp_path):
    with pytest.raises(RecordError, match=r"no records of nowhere; run the sweep first: python run_all\.py nowhere"):
        report.write_report("nowhere", results=tmp_path, reports=tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


@pytest.mark.usefixtures("unsaved")
def test_a_damaged_curve_is_named(tmp_path):
    made = trial("digits", "skip_lstm", "pytorch")
    record = ok_record(made, quality=0.8)
    store = Store(tmp_path / "results")
    write_run(store, record)
    list_sweep(tmp_path / "results", [made])
    damaged = store.folder_of(record.trial_id) / "curve.csv"
    damaged.write_bytes(b"not what it was")
    with pytest.raises(RecordError, match=re.escape(str(damaged))):
        report.write_report(SWEEP, results=tmp_path / "results", reports=tmp_path / "reports")


@pytest.mark.usefixtures("unsaved")
def test_a_record_that_was_edited_is_left_out_and_named(tmp_path, stored):
    results = tmp_path / "results"
    shutil.copytree(stored.results, results)
    edited = Store(results).folder_of(stored.trials[0].id) / "record.json"
    edited.write_text(edited.read_text().replace('"quality": 0.1,', '"quality": 0.0001,'))
    page = report.write_report(SWEEP, results=results, reports=tmp_path / "reports", trials=stored.trials)
    assert "0.0001" not in text_of(page)
    assert f"{edited}: was changed after it was written" in text_of(page)

    output = io.StringIO()
    report.print_results(SWEEP, results=results, console=Console(file=output), trials=stored.trials)
    assert f"left out: {edited}: was changed after it was written" in output.getvalue()


@pytest.mark.usefixtures("unsaved")
def test_a_report_shows_what_its_sweep_asks_for_and_no_other_record(tmp_path, stored):
    asked = [made for made in stored.trials if made.task == "adding"]
    page = report.write_report(SWEEP, results=stored.results, reports=tmp_path, trials=asked)
    with (page.parent / "records.csv").open(encoding="utf-8") as file:
        assert {row["trial_id"] for row in csv.DictReader(file)} == {made.id for made in asked}


@pytest.mark.usefixtures("unsaved")
def test_only_failures_still_make_a_report(tmp_path, stored):
    made = trial("adding", "lstm", "pytorch", seed=2)
    record = stored.store.read(made.id)
    assert record is not None
    Store(tmp_path / "results").write(record)
    list_sweep(tmp_path / "results", [made])
    page = report.write_report(SWEEP, results=tmp_path / "results", reports=tmp_path / "reports")
    text = text_of(page)
    assert "1 trial: 1 failed." in text
    assert "adding problem, T = 10: no trial ended ok." in text


def test_the_terminal_shows_results_and_comparison(stored):
    output = io.StringIO()
    console = Console(file=output, width=80)
    report.print_results(SWEEP, results=stored.results, console=console, trials=stored.trials)
    report.print_comparison(SWEEP, results=stored.results, console=console)
    lines = output.getvalue().splitlines()
    assert any(
        "Skip LSTM, λ = 0.01" in line and "0.20 ± 0.10" in line and line.rstrip().endswith("ok") for line in lines
    )
    assert any("LSTM" in line and line.rstrip().endswith("missing") for line in lines)
    refused = "not a pair: sequential digits, T = 64, Skip GRU, fast, seed 0 (different training batches)"
    assert any(line.startswith(refused) for line in lines)


def test_the_comparison_s_tables_fit_100_columns_and_break_no_word(stored):
    output = io.StringIO()
    report.print_comparison(SWEEP, results=stored.results, console=Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    tables = lines[: next(number for number, line in enumerate(lines) if line.startswith("PyTorch and TensorFlow"))]
    assert max(map(len, tables)) <= 100
    words = " ".join(tables).split()
    assert {"configuration", "training", "inference", "undecided", "×0.500;"} <= set(words)


def test_what_all_rows_of_the_comparison_share_stands_once_above_it(stored):
    output = io.StringIO()
    report.print_comparison(SWEEP, results=stored.results, console=Console(file=output, width=80))
    title = " ".join(output.getvalue().partition("configuration")[0].split())
    assert "task adding problem, T = 10; engine fast" in title
    assert output.getvalue().partition("PyTorch and TensorFlow")[0].count("adding problem") == 2  # a table each


def test_results_table_and_compare_are_frames(stored):
    table = report.results_table(stored.store.survey().records.values())
    assert len(table) == 7  # the missing trial has no record
    comparison = report.compare(SWEEP, results=stored.results)
    assert comparison["configuration"].tolist() == ["LSTM", "Skip LSTM, λ = 0.01"]


def test_the_comparison_takes_what_the_sweep_asks_for_and_has_no_record_of_for_missing(stored):
    """As the page does: of the trials that were asked for LSTM on digits has no record in TensorFlow, GRU has none."""
    other = [trial("digits", "gru", framework) for framework in ("pytorch", "tensorflow")]
    asked = [*stored.trials, *other]
    output = io.StringIO()
    report.print_comparison(SWEEP, results=stored.results, console=Console(file=output, width=200), trials=asked)
    lines = output.getvalue().splitlines()
    assert [line for line in lines if line.startswith("not compared: sequential digits")] == [
        "not compared: sequential digits, T = 64, LSTM, fast, seed 0 (TensorFlow: missing)",
        "not compared: sequential digits, T = 64, GRU, fast, seed 0 (PyTorch: missing, TensorFlow: missing)",
    ]


def test_compared_configurations_are_told_apart_from_those_that_are_asked_for_too(stored):
    """A size that no record has yet; without it nothing would tell the units."""
    made = [trial("adding", "lstm", framework) for framework in ("pytorch", "tensorflow")]
    missing = [each.model_copy(update={"units": (16,)}) for each in made]
    for asked, label in ((made, "LSTM"), ([*made, *missing], "LSTM, units = 8")):
        comparison = report.compare(SWEEP, results=stored.results, trials=asked)
        assert comparison["configuration"].tolist() == [label]


def test_importing_the_report_imports_no_plotting():
    code = "import sys, bench.report; print(sorted({'pandas', 'seaborn', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
