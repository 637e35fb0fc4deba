"""The committed results: sound, the same as the committed reports and the README's table."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from bench.plan import sweep as sweeps
from bench.records.store import Store
from bench.records.upkeep.verify import findings
from bench.report import write_report, write_speed_report, writing
from bench.report.figures.style import Picture
from bench.report.model_card import model_card
from bench.report.paper.claims.catalogue import claims
from bench.report.speed import page as speed_page

ROOT = Path(__file__).parents[1]
REFERENCE, REPORTS = ROOT / "results" / "reference", ROOT / "reports" / "reference"
SWEEPS = sorted(path.stem for path in REFERENCE.glob("*.json"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
FINDINGS = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
CLAIMS = re.findall(r"^\| `([a-z-]+)` \| `([a-z0-9-]+)` \| ([a-z ]+) \| (\d+ of \d+) \|", FINDINGS, re.MULTILINE)
ROWS = re.findall(
    r"^\| ([^|]+) \| [^|]+, (yes|no) \| ([^|]+) \| ([^|]+) \| `((?:--where \S+ ?)+)` \|$", README, re.MULTILINE
)


def test_nothing_is_off() -> None:
    assert findings(REFERENCE) == []


def test_no_record_names_a_folder_of_the_machine_that_made_it() -> None:
    for path in [*REFERENCE.glob("*.json"), *REFERENCE.glob("trials/*/record.json")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'[" =](/|[A-Z]:\\)', text), path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_readmes_numbers_are_the_records(row: tuple[str, ...]) -> None:
    _, _, pytorch, tensorflow, command = row
    for framework, told in {"pytorch": pytorch, "tensorflow": tensorflow}.items():
        asked = sweeps.load("table1-cpu").narrowed([*re.findall(r"--where (\S+)", command), f"framework={framework}"])
        records = Store(REFERENCE).survey(trial.id for trial in asked.trials).records.values()
        updates = [100 * record.update_ratio for record in records if record.update_ratio is not None]
        solved = sum(record.solved is True for record in records)
        assert told == f"{mean(updates):.1f} ± {stdev(updates):.1f}, {solved} of {len(updates)}"


def test_the_readme_has_every_row_of_table_1() -> None:
    asked = [
        trial.id
        for *_, command in ROWS
        for trial in sweeps.load("table1-cpu").narrowed(re.findall(r"--where (\S+)", command)).trials
    ]
    assert sorted(asked) == sorted(trial.id for trial in sweeps.load("table1-cpu").trials)


@pytest.mark.parametrize("told", CLAIMS, ids=lambda told: told[0])
def test_the_findings_verdicts_are_the_reports(told: tuple[str, ...]) -> None:
    claim, sweep, verdict, cases = told
    text = (REPORTS / sweep / "claims.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| {claim} \| ([^|]+) \|(?:[^|]*\|){{4}} (\d+ of \d+)", text, re.MULTILINE)
    assert line == (verdict, cases)


def test_the_findings_tell_of_every_claim() -> None:
    for claim in claims():
        assert f"`{claim.id}`" in FINDINGS


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made with their data, which are compared; their pictures are not drawn in each format."""

    def save_data(picture: Picture, *, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / f"{picture.name}.svg").write_text("<svg/>")
        picture.data.to_csv(folder / f"{picture.name}.csv", index=False)

    for module in (writing, speed_page):
        monkeypatch.setattr(module, "save", save_data)


@pytest.mark.parametrize(
    "sweep", [pytest.param(name, marks=() if name == "table1-cpu" else pytest.mark.slow) for name in SWEEPS]
)
@pytest.mark.usefixtures("undrawn")
def test_the_report_made_again_is_the_committed_one(sweep: str, tmp_path: Path) -> None:
    write_report(sweep, results=REFERENCE, reports=tmp_path, trials=sweeps.load(sweep).trials)
    tables = {path.relative_to(tmp_path / sweep) for path in (tmp_path / sweep).rglob("*.csv")}
    assert tables == {path.relative_to(REPORTS / sweep) for path in (REPORTS / sweep).rglob("*.csv")}
    for table in sorted(tables):
        made, kept = (pd.read_csv(folder / sweep / table) for folder in (tmp_path, REPORTS))
        pd.testing.assert_frame_equal(made, kept, rtol=1e-9, obj=str(table))  # other processors round otherwise


@pytest.mark.usefixtures("undrawn")
def test_the_speed_report_made_again_is_the_committed_one(tmp_path: Path) -> None:
    write_speed_report(results=REFERENCE, reports=tmp_path)
    made, kept = (pd.read_csv(folder / "speed" / "speed.csv") for folder in (tmp_path, REPORTS))
    pd.testing.assert_frame_equal(made, kept, rtol=1e-9)


def test_the_model_card_made_again_is_the_committed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert model_card(Path("results/reference")) == (REFERENCE / "MODEL.md").read_text(encoding="utf-8")
