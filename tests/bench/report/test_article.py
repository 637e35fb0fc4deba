"""The article: its numbers, what it says where there is nothing to say, and that LaTeX takes it."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench.records.record import Record, failure
from bench.records.store import Store, write_arrays, write_curve
from bench.report.article.article import article
from bench.report.content import content_of
from bench.report.figures.style import house_style, save
from bench.report.frames import trials_frame
from bench.report.names import FRAMEWORKS
from bench.report.paper.agreement import agreement, overall
from bench.report.paper.regenerated import RegeneratedPaper, write_tables
from tests.bench.report.paper.runs import SMALL, made, run, table_of
from tests.bench.report.stored import ENVIRONMENT

HOSTILE = r"50 % of a_b & c # $ ~ ^ {x} \end{document} λ ≤ 1e-5 Ā 数"


def article_of(records: list[Record], *, folder: Path, typeset: bool = False) -> tuple[str, RegeneratedPaper]:
    """The article and what it is of; figures are drawn where it is typeset."""
    folder.mkdir(exist_ok=True)
    with house_style():
        content = content_of(
            trials_frame(records),
            store=Store(folder / "results"),
            problems={},
            sweep="a_sweep",
            command="100 % & more",
            description=HOSTILE,
        )
        for picture in content.paper.figures if typeset else ():
            save(picture, folder=folder / "figures")
    write_tables(content.paper.tables, folder=folder / "paper")
    text = article(content)
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    return text, content.paper


def all_tables(folder: Path) -> list[Record]:
    """Two runs in both frameworks of a row of each table, with a curve and gates where a figure has them."""
    rows = [
        ("adding", "skip_gru", {"budget_cost": 1e-5}), ("mnist", "skip_gru", {"budget_cost": 1e-4}),
        ("charades", "gru", {"p_skip": 0.4}), ("frequency", "skip_lstm", {"budget_cost": 1e-4}),
        ("imdb", "skip_lstm", {"budget_cost": 1e-3}), ("ucf101", "skip_lstm", {"budget_cost": 1e-4}),
    ]  # fmt: skip
    records, store = [], Store(folder / "results")
    rows.append(("adding", "gru", {}))  # what skipping is timed against
    for task, cell, fields in rows:
        for framework, seed in itertools.product(("pytorch", "tensorflow"), (0, 1)):
            trial = made(task, cell, framework, seed=seed, **fields, **SMALL)
            records.append(run(trial, quality=0.9, update_ratio=(0.3, 0.9)[seed], updates_std=1.0))
            store.write(records[-1])
            write_curve(store.folder_of(trial.id) / "curve.csv", [{"step": 5, "epoch": 1.0, "quality": 0.5}])
            if task in ("adding", "mnist"):
                shape = (2, records[-1].length, 2 if task == "adding" else 1)
                inputs = np.random.Generator(np.random.Philox(0)).random(shape, dtype=np.float32)
                gates = (inputs[:, :, 0] > 0.5).astype(np.float32)
                write_arrays(store.folder_of(trial.id) / "gates.npz", {"inputs": inputs, "gates": gates})
    return records


def test_the_abstract_counts_what_came_out_as_published(tmp_path: Path):
    """LSTM solved as published, Skip LSTM at λ = 0 not; its 51.1 % of updates are 37 % below the published 81.1."""
    records = [
        run(made("adding", "lstm"), solved=True),
        run(made("adding", "skip_lstm"), solved=False, update_ratio=0.511),
        failure(made("adding", "gru"), status="failed", error="MemoryError"),
    ]
    text, paper = article_of(records, folder=tmp_path)
    assert overall(paper.tables) == [
        "In 1 of 2 rows the task is solved, or not, as published.",
        "The state updates of skip cells differ from the published by 37 % in the median of 1 row.",
    ]
    assert "In 1 of 2 rows the task is solved, or not, as published." in text
    assert "3 trials: 2 ok, 1 failed" in text
    assert agreement(paper.tables[0]) == [
        "Table 1, PyTorch: 2 of 10 rows have a run that ended ok; in 1 of 2 the task is solved, or not, as published; "
        "state updates of skip cells differ by 30.0 points in the median and 30.0 at most."
    ]


def test_updates_that_are_given_are_not_near_the_published():
    """A plain cell that skips at random was asked for its updates; where no row learns them nothing is said."""
    records = [run(made("adding", "lstm")), run(made("adding", "lstm", p_skip=0.5), update_ratio=0.5)]
    assert not any("state updates" in line for line in agreement(table_of(1, records)))


def test_accuracy_differs_from_the_published_by_points():
    """LSTM is published with 0.910, GRU with 0.968."""
    records = [run(made("mnist", "lstm"), quality=0.71), run(made("mnist", "gru"), quality=0.968)]
    assert "accuracy differs by 10.0 points in the median and 20.0 at most." in agreement(table_of(2, records))[0]


def test_accuracy_is_near_within_one_point_and_map_in_its_own_unit():
    tables = [
        table_of(2, [run(made("mnist", "lstm"), quality=0.919), run(made("mnist", "gru"), quality=0.9)]),
        table_of(3, [run(made("charades", "lstm"), quality=0.09), run(made("charades", "gru"), quality=0.2)]),
    ]
    assert overall(tables) == [
        "In 1 of 2 rows accuracy is within one point of the published.",
        "In 1 of 2 rows mean average precision is within one point of the published.",
    ]


def test_a_departure_from_the_published_protocol_is_told_before_any_number(tmp_path: Path):
    text, _ = article_of([run(made("adding", "lstm", units=8))], folder=tmp_path)
    setup = text[text.index(r"\section{Setup}") : text.index(r"\section{The paper's tables}")]
    assert "not the published protocol, but 8 units instead of 110; 1 run instead of 4." in setup
    assert r"Not at the published protocol, as Section~\ref{sec:setup} tells: Table 1." in text


def test_claims_are_a_section_of_those_that_were_run(tmp_path: Path):
    records = [run(made("adding", cell, seed=seed), solved=True) for cell in ("lstm", "gru") for seed in range(4)]
    text, _ = article_of(records, folder=tmp_path)
    claims = text[text.index(r"\section{Claims}") : text.index(r"\section{The frameworks}")]
    assert re.search(r"Table 1\) & reproduced & PyTorch, .*4 of 4 seeds as claimed", claims)
    assert "Kinetics" not in claims, "a claim of rows that were not run"
    assert re.search(r"\d+ claims: 1 reproduced, .*\d+ not run", text)


def test_frameworks_are_compared_in_two_tables_with_their_margins(tmp_path: Path):
    """Five pairs that are equal to the last digit are equivalent; four say nothing yet."""
    five = [run(made("adding", "lstm", name, seed=seed)) for name in FRAMEWORKS for seed in range(5)]
    text, _ = article_of(five, folder=tmp_path)
    assert re.search(r"LSTM & fast & 5 & .* & equivalent & ", text)
    assert "mean squared error a factor of 2" in text
    four = [record for record in five if record.trial.seed < 4]
    text, _ = article_of(four, folder=tmp_path / "four")
    assert re.search(r"LSTM & fast & 4 & .* & undecided & ", text)


def test_times_and_memory_stand_beside_the_number_of_their_pairs(tmp_path: Path):
    records = [
        run(made("adding", "lstm", name, seed=seed), inference_milliseconds=2.0 if seed else None)
        for name in FRAMEWORKS
        for seed in range(3)
    ]
    text, _ = article_of(records, folder=tmp_path)
    assert r"task & configuration & engine & pairs & training step & inference & memory" in text
    assert re.search(r"LSTM & fast: -- & 3 & .* & \$\\times\$1; \$\\times\$1 \(2 of 3\) & ", text)


def test_pairs_of_unlike_machines_and_numbers_that_are_none_are_told(tmp_path: Path):
    records = [
        run(
            made("adding", "lstm", name, seed=seed),
            quality=0.1 if seed else 0.0,
            environment=ENVIRONMENT | {"processor": f"{name}_of_{seed}" if seed < 2 else "one"},
        )
        for name in FRAMEWORKS
        for seed in range(3)
    ]
    text, _ = article_of(records, folder=tmp_path)
    assert "times are not summed up, since the trials of 2 of 3 pairs ran under unlike conditions." in text
    assert (
        r"Times and memory of 1 of 3 pairs are not compared: the two sides ran with other processors "
        r"(pytorch\_of\_0 and tensorflow\_of\_0) (LSTM, seed 0)."
    ) in text
    assert "LSTM: quality left out of seed 0: not a number above 0." in text


def test_a_sweep_without_a_row_or_a_number_of_the_paper_says_so(tmp_path: Path):
    text, _ = article_of([run(made("digits", "lstm"))], folder=tmp_path / "digits")
    assert "This sweep holds no row of a table of Campos et" in text
    assert "The paper's tables" not in text
    records = [failure(made("adding", "lstm", seed=seed), status="failed", error="MemoryError") for seed in range(2)]
    text, _ = article_of(records, folder=tmp_path / "failed")
    assert "No run of a row of the paper has ended ok with a number beside it yet." in text
    assert "2 trials: 2 failed" in text


needs_latexmk = pytest.mark.skipif(
    shutil.which("latexmk") is None, reason="typesetting needs latexmk and TeX Live, which are not here"
)


@needs_latexmk
@pytest.mark.parametrize("kind", ["whole", "empty"])
def test_latex_takes_it_and_every_table_fits_the_page(tmp_path: Path, kind: str):
    """All six tables, figures, claims and the comparison; or nothing but one failed trial."""
    if kind == "whole":
        text, paper = article_of(all_tables(tmp_path), folder=tmp_path, typeset=True)
        assert all(rf"\section{{{title}}}" in text for title in ("Claims", "The frameworks", "Does skipping pay?"))
        assert [table.layout.number for table in paper.tables] == [1, 2, 3, 4, 5, 6]
        assert [picture.name[-1] for picture in paper.figures] == ["2", "3", "4", "5"]
        assert len(re.findall(r"\\includegraphics", text)) == 4
    else:
        article_of(
            [failure(made("digits", "gru"), status="failed", error="MemoryError")], folder=tmp_path, typeset=True
        )
    done = subprocess.run(
        ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    log = (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert not re.findall(r"^Overfull .*|^LaTeX Warning: .*", log, re.MULTILINE)
