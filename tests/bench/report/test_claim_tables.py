"""The claims as people read them: tables, lines, JSON, the page, and the command's exit code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bench.cli.program import application
from bench.plan import sweep as sweeps
from bench.records.store import Store
from bench.report.paper.claims.sections import claim_sections, write_claims
from bench.report.paper.claims.tables import numbers_table, stated_table, to_json, verdict_table
from bench.report.paper.claims.terminal import WIDTH, claim_lines
from bench.report.paper.claims.verdicts import Verdict, judge
from bench.report.paper.published import published_rows, trials_of
from tests.bench.report.claimed import as_published, doctored, published_record

NOWHERE = Store(Path("no results"))


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    """Table 1 as published, but for one row in one framework; the other tables are not run."""
    changes = {"skip_lstm budget_cost=1e-5": {"update_ratio": 0.8}}
    return judge(doctored(as_published("table1"), 1, changes, framework="tensorflow"), store=NOWHERE)


@pytest.fixture(scope="module")
def published() -> list[Verdict]:
    """Table 1 as published."""
    return judge(as_published("table1"), store=NOWHERE)


@pytest.fixture(scope="module")
def shrunk() -> list[Verdict]:
    """Table 1 as published, but of fewer units."""
    return judge(as_published("table1").assign(units="64"), store=NOWHERE)


def test_a_row_says_what_where_and_how_much(verdicts: list[Verdict]):
    table = verdict_table(verdicts).set_index("claim")
    assert table.loc["adding-half"].tolist() == ["not reproduced", "TensorFlow", "direction, value", "6 of 8", "4"]
    assert table.loc["adding-baselines", "in"] == "PyTorch, TensorFlow"
    assert table.loc["mnist-half"].tolist() == ["not run", "–", "–", "–", "–"]


def test_a_claim_of_any_rows_counts_those_that_are_there(verdicts: list[Verdict]):
    """Table 1 has ten rows with FLOPs, in two frameworks."""
    assert verdict_table(verdicts).set_index("claim").loc["flops-follow", "cases"] == "20 of 20"


def test_values_that_a_shrunk_protocol_leaves_open_are_no_cases_of_a_direction(shrunk: list[Verdict]):
    """Two rows in two frameworks, each asked for a direction and a value: every case that counts is shown."""
    table = verdict_table(shrunk).set_index("claim")
    assert table.loc["adding-half", ["verdict", "shows", "cases"]].tolist() == [
        "reproduced",
        "direction",
        "4 of 4 (4 open)",
    ]


def test_the_lines_fit_and_hold_the_numbers(verdicts: list[Verdict]):
    lines = list(claim_lines(verdicts, sweep="table1"))
    assert max(map(len, lines)) <= WIDTH
    text = re.sub(r"\s+", " ", " ".join(lines))
    assert lines[0].startswith("table1: 26 claims: ")
    assert "adding-half (Table 1): At λ = 1e-5 they use about half of the samples." in text
    assert "PyTorch: reproduced; TensorFlow: not reproduced" in text
    assert "TensorFlow, Skip LSTM, λ = 1e-5: not reproduced; mean 0.8" in text
    assert "p < 1e-4, of the opposite = 1" in text
    assert lines.count("  flops of an update, within part, part 0.01 (value)") == 1  # of the four tables, the one here
    assert "n = 4; published 0.5390" in text
    assert "4 of 4 seeds as claimed; published not solved" in text


def test_a_shrunk_protocol_is_said_with_what_it_shrinks(shrunk: list[Verdict], published: list[Verdict]):
    text = re.sub(r"\s+", " ", " ".join(claim_lines(shrunk, sweep="table1")))
    assert "a shrunk protocol, which shows no value: 64 units instead of 110" in text
    table = stated_table(shrunk).set_index("claim")
    assert table.loc["adding-half", "protocol"] == "shrunk: 64 units instead of 110"
    assert table.loc["mnist-half", "protocol"] == "–"
    assert stated_table(published)["protocol"].iloc[0] == "published"


def test_a_claim_of_this_project_s_own_has_no_published_protocol(published: list[Verdict]):
    """Whatever it ran at: here it is Table 1's own."""
    table = stated_table(published).set_index("claim")
    assert table.loc["time-follows-updates", ["verdict", "protocol"]].tolist() == ["reproduced", "–"]
    assert table.loc["adding-half", ["verdict", "protocol"]].tolist() == ["reproduced", "published"]


def test_json_has_every_finding_and_no_number_that_json_lacks(verdicts: list[Verdict]):
    content = {entry["claim"]: entry for entry in json.loads(to_json(verdicts))}
    assert len(content) == len(verdicts)
    half = content["adding-half"]
    assert half["frameworks"] == {"pytorch": "reproduced", "tensorflow": "not reproduced"}
    (finding,) = [one for one in half["findings"] if one["verdict"] == "not reproduced" and one["kind"] == "value"]
    assert (finding["estimate"], finding["n"], finding["published"]) == (pytest.approx(0.8), 4, "0.539")


def test_files_hold_every_finding_and_every_verdict(verdicts: list[Verdict], tmp_path: Path):
    write_claims(tmp_path, verdicts, sweep="table1")
    findings = pd.read_csv(tmp_path / "claims.csv")
    assert len(findings) == sum(len(verdict.findings) for verdict in verdicts)
    wrong = findings[(findings["claim"] == "adding-half") & (findings["verdict"] == "not reproduced")]
    assert set(wrong["framework"]) == {"tensorflow"}
    assert wrong["p_opposite"].max() < 0.05 / 4
    lines = (tmp_path / "claims.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(verdicts)
    assert r"\label{tab:table1-claims}" in (tmp_path / "claims.tex").read_text(encoding="utf-8")


def test_the_page_shows_what_was_run_and_names_the_rest(verdicts: list[Verdict]):
    claims, numbers = claim_sections(verdicts)
    (table,) = claims.tables
    assert "adding-half" in set(table.text["claim"])
    assert "mnist-half" not in set(table.text["claim"])
    assert any("Not run here: mnist-skip-better" in line for line in claims.prose)
    assert numbers.folded
    assert len(numbers.tables[0].text) == len(numbers_table(verdicts))


def test_a_sweep_without_rows_of_a_claim_says_so():
    nothing = judge(as_published("table2").assign(task="digits"), store=NOWHERE)
    (section,) = claim_sections(nothing)
    assert section.prose == ["No claim has its rows among the records of this sweep."]


# The command

GRU = ("--where", "cell=gru", "--where", "cell=skip_gru", "--where", "framework=pytorch")


def command(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(application(), ["claims", *words])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def gru(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with Table 2's GRU rows in PyTorch, as published."""
    results = tmp_path_factory.mktemp("gru")
    trials = sweeps.load("table2").narrowed(GRU[1::2]).trials
    frame = as_published("table2")
    row_of = {trial_id: row for row in published_rows() if row.table == 2
              for trial_id in trials_of(row, frame)["trial_id"]}  # fmt: skip
    for trial in trials:
        Store(results).write(published_record(trial, row_of[trial.id]))
    return results


def test_claims_exits_0_where_none_is_refuted(gru: Path):
    code, output = command("table2", *GRU, "--results", str(gru))
    assert code == 0
    assert output.startswith("table2: 26 claims: ")
    assert "mnist-skip-better            inconclusive" in output  # its LSTM rows are not here


def test_claims_exits_1_where_one_is(gru: Path, tmp_path: Path):
    for trial_id in Store(gru).trial_ids():
        record = Store(gru).read(trial_id)
        assert record is not None
        worse = {"quality": (record.quality or 0) - 0.5} if record.trial.cell == "skip_gru" else {}
        Store(tmp_path).write(record.model_copy(update=worse))
    code, output = command("table2", *GRU, "--results", str(tmp_path))
    assert code == 1
    assert "mnist-skip-better            not reproduced" in output


def test_claims_in_json(gru: Path):
    code, output = command("table2", *GRU, "--results", str(gru), "--json")
    assert code == 0
    assert len(json.loads(output)) == 26


def test_a_record_that_is_left_out_is_named_beside_the_json(gru: Path, tmp_path: Path):
    shutil.copytree(gru, tmp_path / "results")
    path = next((tmp_path / "results" / "trials").glob("*/record.json"))
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": ', '"seed": 1'), encoding="utf-8")
    words = ["claims", "table2", *GRU, "--results", str(tmp_path / "results"), "--json"]
    done = CliRunner().invoke(application(), words)
    assert len(json.loads(done.stdout)) == 26
    assert f"left out: {path}: was changed after it was written" in done.stderr
