"""The results table: hand-computed numbers, visible holes, and text that other programs can read."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from typing import Any

import pandas as pd
import pytest

from bench.plan.trial import build_trial
from bench.records.record import Record
from bench.report.comparison.paired_differences import compare
from bench.report.frames import read_records, sweep_frame, trials_frame
from bench.report.numbers import exact, number, signed, spread
from bench.report.page import sections
from bench.report.paper.latex import typeset
from bench.report.tables.formats import escape_latex, numeric_columns, to_latex, to_long_latex, to_markdown
from bench.report.tables.printed import printed
from bench.report.tables.results import aggregate, readable, said_once, settings_said
from tests.bench.report.stored import ENVIRONMENT, ok_record, trial


@pytest.fixture(scope="module")
def table(stored) -> pd.DataFrame:
    return aggregate(sweep_frame(read_records("stored", results=stored.results), trials=stored.trials))


def row_of(table: pd.DataFrame, **where: str) -> pd.Series:
    rows = table
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_one_row_a_configuration(table):
    assert len(table) == 8
    assert list(table["task"].unique()) == ["adding", "digits"]


def test_mean_and_sample_deviation(table):
    row = row_of(table, task="adding", cell="skip_lstm", framework="pytorch")
    assert row["quality_mean"] == pytest.approx(0.2)
    assert row["quality_std"] == pytest.approx(0.1)  # of 0.1, 0.2, 0.3 with divisor n − 1
    assert row["updates_mean"] == pytest.approx(5.0)
    assert row["flops_per_sequence_mean"] == pytest.approx(500.0)
    assert (row["seeds"], row["ok"]) == (3, 3)
    assert (row["solved"], row["solved_of"]) == (1, 3)


def test_a_row_names_its_trials(stored, table):
    wanted = [
        made.id
        for made in stored.trials
        if (made.task, made.cell, made.framework) == ("adding", "skip_lstm", "pytorch")
    ]
    row = row_of(table, task="adding", cell="skip_lstm", framework="pytorch")
    assert sorted(row["trial_ids"].split()) == sorted(wanted)
    assert sum(len(ids.split()) for ids in table["trial_ids"]) == len(stored.trials)
    assert "trial_ids" not in readable(table).text


def test_skips_of_plain_cells_name_their_rows():
    def made(**fields):
        content = {"task": "adding", "cell": "lstm", "framework": "pytorch", "units": 8, **fields}
        return ok_record(build_trial(content, where="test"), quality=0.1)

    frame = trials_frame([made(period=5), made(p_skip=0.5), made(period=2), made()])
    assert frame["label"].tolist() == ["LSTM", "LSTM, every 2nd step", "LSTM, every 5th step", "LSTM, p_skip = 0.5"]
    shown = readable(aggregate(frame)).varying
    assert shown["period"].tolist() == ["1", "2", "5", "1"]
    assert shown["p_skip"].tolist() == ["0", "0", "0", "0.5"]


def test_a_precision_is_told_where_it_varies():
    def made(precision):
        content = {"task": "adding", "cell": "lstm", "framework": "pytorch", "units": 8, "precision": precision}
        return ok_record(build_trial(content, where="test"), quality=0.1)

    frame = trials_frame([made("bfloat16"), made("float32")])
    assert set(frame["label"]) == {"LSTM, precision = bfloat16", "LSTM, precision = float32"}
    assert set(readable(aggregate(frame)).varying["precision"]) == {"bfloat16", "float32"}
    assert trials_frame([made("float32")])["label"].tolist() == ["LSTM"]


def made(**fields: Any) -> Record:
    content = {"task": "adding", "cell": "skip_lstm", "framework": "pytorch", "units": 8, **fields}
    return ok_record(build_trial(content, where="test"), quality=0.1, update_ratio=0.5)


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_all_trials_share_and_is_no_default_is_said_once(seeds: int):
    """With the whole protocol; a field at its default is not."""
    odd = {"precision": "bfloat16", "gate": "bernoulli", "layer_norm": True, "update_bias": 5.0}
    cells = ("skip_gru", "skip_lstm")[:seeds]
    frame = trials_frame([made(**odd, cell=cell, protocol={"learning_rate": 0.5, "steps": 20}) for cell in cells])
    table = aggregate(frame)
    (same, *_) = said_once(readable(table))
    for words in (same, *settings_said(table, where="row")):
        assert words.startswith("The same in every row: ")
        for fact in (
            "precision: bfloat16", "gate: bernoulli", "layer norm: yes", "update bias: 5", "learning rate: 0.5",
            "steps: 20", "batch size: 256", "learning rate schedule: constant", "dropout: 0", "clip norm: 1",
        ):  # fmt: skip
            assert fact in words
        assert not {"forget bias", "activation", "epochs", "–"} & set(re.split("[:,] ", words))
    assert not {"precision", "learning_rate"} & set(readable(table).varying)
    assert same in sections.results(readable(table)).prose


def test_what_differs_between_problems_alone_has_a_column_and_is_in_labels_or_said_of_the_problem():
    frame = trials_frame(
        made(options={"length": length}, precision=precision, device="cuda", protocol={"steps": steps})
        for length, precision, steps in ((10, "tf32", 20), (20, "float32", 40))
    )
    assert frame["label"].tolist() == ["Skip LSTM, precision = tf32", "Skip LSTM, precision = float32"]
    table = aggregate(frame)
    shown = readable(table).varying
    assert (shown["precision"].tolist(), shown["steps"].tolist()) == (["tf32", "float32"], ["20", "40"])
    (same, *of_problems) = settings_said(table, where="trial")
    assert same.startswith("The same in every trial: units: 8, engine: fast, device: cuda, budget: cost per sample, ")
    assert of_problems == [
        "The same in every trial of adding problem, T = 10: precision: tf32, steps: 20.",
        "The same in every trial of adding problem, T = 20: precision: float32, steps: 40.",
    ]


def test_one_seed_has_no_deviation(table):
    assert pd.isna(row_of(table, task="digits", cell="skip_gru", framework="pytorch")["quality_std"])


def test_holes_are_counted_and_left_out_of_means(table):
    failed = row_of(table, task="adding", cell="lstm", framework="pytorch")
    assert (failed["seeds"], failed["ok"], failed["failed"], failed["diverged"]) == (3, 2, 1, 0)
    assert failed["quality_mean"] == pytest.approx(0.05)
    assert (failed["solved"], failed["solved_of"]) == (2, 2)
    diverged = row_of(table, task="adding", cell="lstm", framework="tensorflow")
    assert (diverged["ok"], diverged["diverged"]) == (2, 1)
    assert (diverged["solved"], diverged["solved_of"]) == (2, 3)
    missing = row_of(table, task="digits", cell="lstm", framework="tensorflow")
    assert (missing["seeds"], missing["ok"], missing["missing"]) == (1, 0, 1)
    assert pd.isna(missing["quality_mean"])


def test_a_time_that_only_some_trials_have_tells_of_how_many_it_is():
    """Older records lack what is timed since."""
    frame = trials_frame(
        ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, reported_step_milliseconds=time)
        for seed, time in enumerate((None, None, None, 7.0, 8.0))
    )
    table = aggregate(frame)
    assert (table["reported_step_milliseconds_trials"].item(), table["ok"].item()) == (2, 5)
    row = readable(table).text.iloc[0]
    assert (row["seeds"], row["reported_step_milliseconds"]) == ("5", "7.50 ± 0.71 (2 of 5)")
    assert row["step_milliseconds"] == "8 ± 0"
    assert row["inference_milliseconds"] == "–"
    (group,) = printed(table).values()
    assert group["as reported (ms)"].tolist() == ["7.50 ± 0.71 (2 of 5)"]
    assert numeric_columns(group[["as reported (ms)"]]) == [True]


def test_a_trial_without_an_outcome_leaves_its_row_without_a_mean():
    """As in the paper's tables: the mean of the others would hide it."""
    frame = trials_frame(
        ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=quality)
        for seed, quality in enumerate((0.1, 0.2, float("nan")))
    )
    table = aggregate(frame)
    assert pd.isna(table["quality_mean"].item())
    assert readable(table).text["quality"].tolist() == ["no number"]
    assert readable(table).text["updates"].tolist() == ["10 ± 0"]
    (group,) = printed(table).values()
    assert group["quality"].tolist() == ["no number"]
    assert numeric_columns(pd.DataFrame({"quality": ["0.1 ± 0.2", "no number"]})) == [True]
    (best,) = [
        point
        for point in sections.summary(frame, compare(frame, apart="framework"), verdicts=()).points
        if "adding" in point
    ]
    assert best.startswith("adding problem, T = 10: no configuration has a finite mean squared error")


def test_readable_table_shows_statuses_directions_and_dashes(table):
    text = readable(table).text
    skip = row_of(text, task="adding problem, T = 10", cell="Skip LSTM", framework="PyTorch")
    assert skip["quality"] == "0.20 ± 0.10"
    assert skip["metric"] == "mean squared error ↓"
    digits = row_of(text, cell="Skip GRU", framework="PyTorch")
    assert (digits["quality"], digits["metric"], digits["update_ratio"]) == ("90", "accuracy (%) ↑", "25")
    assert skip["solved"] == "1 of 3"
    failed = row_of(text, task="adding problem, T = 10", cell="LSTM", framework="PyTorch")
    assert (failed["seeds"], failed["status"]) == ("2 of 3", "2 ok, 1 failed")
    missing = row_of(text, task="sequential digits, T = 64", cell="LSTM", framework="TensorFlow")
    assert (missing["status"], missing["quality"], missing["solved"]) == ("missing", "–", "–")


def test_what_is_the_same_everywhere_is_told_apart(table):
    shown = readable(table)
    assert shown.constant["engine"] == table["engine"].iloc[0] == "fast"
    assert "engine" not in shown.varying
    assert {"task", "cell", "framework", "quality", "status"} <= set(shown.varying)


def test_markdown_has_as_many_cells_in_every_line(table):
    lines = to_markdown(readable(table).varying).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + len(table)


def test_latex_is_escaped_and_balanced(table):
    text = readable(table).varying.assign(cell="skip_lstm")
    latex = to_latex(text, caption="50 % of a_b", label="tab:stored")
    assert r"skip\_lstm" in latex
    assert r"\caption{50 \% of a\_b}" in latex
    assert latex.isascii()
    assert latex.count("{") == latex.count("}")
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert len({line.count(" & ") for line in body}) == 1


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("λ ± ↑", r"$\lambda$ $\pm$ $\uparrow$"),
        ("\\{", r"\textbackslash{}\{"),
        ("β ≥ 1 ≠ ≤ …", r"$\beta$ $\geq$ 1 $\neq$ $\leq$ \ldots{}"),
        ("“no number”, the framework’s", "``no number'', the framework's"),
        ("Giró 数 🙂", "Giró {[}U+6570{]} {[}U+1F642{]}"),
    ],
)
def test_escape_latex(text, escaped):
    """What its fonts have, in words that LaTeX knows; a table of an article is escaped by the same function."""
    assert escape_latex(text) == typeset(text) == escaped


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.2, 0.1, "0.20 ± 0.10"),
        (0.0033561, 0.0003271, "0.00336 ± 0.00033"),
        (50.0, 9.999999999, "50 ± 10"),
        (20258.0, 2452.0, "20,258 ± 2,452"),
        (0.9688, 0.0, "0.9688 ± 0"),
        (1.634e-4, 1.2e-5, "1.63e-4 ± 1.2e-5"),
        (0.5, float("nan"), "0.5000"),
        (1.634e-4, 3.1e-7, "1.6340e-4 ± 3.1e-7"),
        (1.634e-4, 5.2e-3, "2e-4 ± 5.2e-3"),
        (97.6012, 0.2134, "97.60 ± 0.21"),
        (float("inf"), float("nan"), "∞"),
        (1.0, float("inf"), "1 ± ∞"),
        (float("nan"), float("nan"), "–"),
    ],
)
def test_spread_shows_the_digits_that_the_deviation_supports(mean, deviation, text):
    assert spread(mean, deviation) == text


def test_number_and_signed():
    assert [number(value) for value in (0, 1.0, 64.0, 12.345, 1.5e9, None)] == [
        "0",
        "1",
        "64",
        "12.35",
        "1.50e9",
        "–",
    ]
    assert [signed(value) for value in (0.01, -0.01, 0.0, -5.3e-7)] == ["+0.0100", "−0.0100", "0", "−5.3e-7"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1e-5"),
        (1.25e-4, "1.25e-4"),
        (0.01, "0.01"),
        (0.0, "0"),
        (20_000, "20,000"),
        (1e9, "1e9"),
        (-0.5, "-0.5"),
    ],
)
def test_what_was_chosen_has_all_its_digits(value, text):
    assert exact(value) == text


def test_numbers_stand_to_the_right_and_ids_do_not():
    text = pd.DataFrame(
        {
            "mean": ["0.20 ± 0.10", "–"],
            "of": ["2 of 3", "3"],
            "id": ["12ab", "3"],
            "name": ["LSTM", "–"],
            "none": ["–", "–"],
            "interval": ["−5.3e-7 [−1, 2]", "∞"],
        }
    )
    assert numeric_columns(text) == [True, True, False, False, False, True]
    assert to_markdown(text).splitlines()[1] == "| ---: | ---: | --- | --- | --- | ---: |"


def test_markup_in_a_name_stays_in_its_cell():
    text = pd.DataFrame({"name": ["a|b\nc <img src=x>"]})
    assert to_markdown(text).splitlines()[2] == r"| a\|b c &lt;img src=x&gt; |"


def test_memory_that_is_shown_alike_is_told_once():
    """Two machines of a kind, a page of memory apart."""
    environments = [ENVIRONMENT | {"memory_bytes": 8 * 2**30 + more} for more in (0, 4096)]
    frame = trials_frame(
        ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, environment=environment)
        for seed, environment in enumerate(environments)
    )
    assert dict(sections.what_ran(frame, sweep="test", command="").facts)["memory"] == "8 GiB"


def test_the_printed_table_tells_updates_as_the_paper_does(table):
    groups = printed(table)
    assert list(groups) == [
        "adding problem, T = 10: mean squared error ↓, last; updates in percent of the steps",
        "sequential digits, T = 64: accuracy (%) ↑, best validation; updates in samples of a sequence",
    ]
    adding, digits = groups.values()
    skip = row_of(adding, configuration="Skip LSTM, λ = 0.01", framework="TensorFlow")
    assert (skip["updates"], skip["solved"], skip["FLOPs"]) == ("50 ± 10", "1 of 3", "5.00e2")
    assert row_of(digits, configuration="Skip GRU", framework="PyTorch")["updates"] == "16"
    assert row_of(adding, configuration="LSTM", framework="PyTorch")["runs"] == "2 ok, 1 failed"


@pytest.mark.skipif(shutil.which("latexmk") is None, reason="latexmk is not installed")
def test_the_printed_table_fits_a_page(table, tmp_path):
    groups = printed(table)
    long = {f"{title} {number}": rows for number in range(8) for title, rows in groups.items()}  # over a page
    body = to_long_latex(long, caption="50 % of a_b", label="tab:stored")
    body += to_latex(readable(table).varying, caption="Every column.", label="tab:all")
    document = (
        r"\documentclass{article}\usepackage[a4paper,margin=2.5cm]{geometry}\usepackage{booktabs,longtable,graphicx}"
    )
    (tmp_path / "table.tex").write_text(document + "\\begin{document}\n" + body + "\\end{document}\n", encoding="utf-8")
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (tmp_path / "table.log").read_text(encoding="utf-8", errors="replace")


def test_csv_keeps_full_precision(table):
    text = table.to_csv(index=False)
    rows = list(csv.DictReader(io.StringIO(text)))
    third = next(row for row in rows if row["cell"] == "skip_lstm" and row["framework"] == "tensorflow")
    assert float(third["quality_mean"]) == (0.11 + 0.19 + 0.33) / 3
