"""The page as HTML: valid structure, one address for each row, names for people, and no markup out of a record."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from bench.report.html import rendering
from bench.report.html.rendering import Details, Section, render
from bench.report.html.tables import Identifiers, PageTable, lay_out
from tests.bench.report.outline import Outline

HOSTILE = '</script><script>alert(1)</script><b title="\'x">&amp;'


def outline_of(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    return parsed


@pytest.fixture(scope="module")
def outline(page: Path) -> Outline:
    return outline_of(page.read_text(encoding="utf-8"))


def test_identifiers_are_unique_and_labels_lead_to_fields(outline: Outline) -> None:
    identifiers = Counter(str(attributes["id"]) for _, attributes in outline.elements if "id" in attributes)
    assert [name for name, count in identifiers.items() if count > 1] == []
    fields = {field["id"] for name in ("input", "select") for field in outline.all(name)}
    assert {label["for"] for label in outline.all("label")} == fields
    assert all(attributes["aria-labelledby"] in identifiers for attributes in outline.all("section"))


def test_without_a_script_nothing_is_hidden_but_the_controls(outline: Outline) -> None:
    assert [name for name, attributes in outline.elements if "hidden" in attributes] == ["form"]


def test_no_address_on_the_page_leaves_its_folder(outline: Outline) -> None:
    policy = outline.all("meta")[3]["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not [link["href"] for link in outline.all("a") if "//" in str(link["href"])]


def test_columns_have_heads_for_people_and_names_for_filters(outline: Outline, page: Path) -> None:
    columns = {head["data-column"]: head for head in outline.all("th")}
    assert {"task", "cell", "framework", "configuration"} <= set(columns)
    assert columns["quality"]["class"] == "number"
    assert columns["cell"]["class"] == "word"
    assert ">training step (ms)</th>" in page.read_text(encoding="utf-8")


def test_sentences_are_broken_into_lines_and_short_words_are_not() -> None:
    text = pd.DataFrame({"claim": ["adding-half"], "statement": ["x " * 40], "pairs": ["5"]})
    columns = lay_out(PageTable(caption="Claims", text=text), within="claims", identifiers=Identifiers()).columns
    assert [column.kind for column in columns] == ["word", "prose", "number"]
    sheet = Path(rendering.__file__).with_name("page.css").read_text(encoding="utf-8")
    assert "td.prose { white-space: normal;" in sheet


def rows_of(text: pd.DataFrame) -> list[str]:
    laid_out = lay_out(PageTable(caption="Means", text=text), within="results", identifiers=Identifiers())
    return [row.identifier for row in laid_out.rows]


def test_a_rows_address_holds_when_its_numbers_change() -> None:
    before = pd.DataFrame(
        {"cell": ["LSTM", "GRU"], "units": ["8", "8"], "quality": ["0.1 ± 0.2", "0.3"], "status": "ok"}
    )
    after = before.assign(quality=["0.7", "0.9"], status=["ok", "failed"])
    assert rows_of(before) == rows_of(after)
    assert rows_of(before) != rows_of(before.assign(units="16"))
    assert rows_of(before.iloc[::-1]) == rows_of(before)[::-1]


def test_rows_that_are_called_alike_have_addresses_of_their_own() -> None:
    twice = rows_of(pd.DataFrame({"cell": ["LSTM", "LSTM"], "quality": ["1", "2"]}))
    assert len(set(twice)) == 2


def test_sections_of_one_title_have_addresses_of_their_own(tmp_path: Path) -> None:
    page = render(title="t", description="", sections=[Section(title="概要"), Section(title="概要")], figures=tmp_path)
    assert [section["id"] for section in outline_of(page).all("section")] == ["section", "section-2"]


def test_names_out_of_records_are_text(tmp_path: Path) -> None:
    text = pd.DataFrame({"task": [HOSTILE], HOSTILE: ["1"], "error": [HOSTILE]})
    section = Section(
        title=HOSTILE,
        prose=[HOSTILE],
        points=[HOSTILE],
        facts=[(HOSTILE, HOSTILE)],
        tables=[PageTable(caption=HOSTILE, text=text, note=HOSTILE)],
        details=[Details(title=HOSTILE, text=HOSTILE)],
        links=[(HOSTILE, "results.csv")],
    )
    parsed = outline_of(render(title=HOSTILE, description=HOSTILE, sections=[section], figures=tmp_path))
    assert not parsed.open
    assert len(parsed.all("script")) == 1
    assert not parsed.all("b")
