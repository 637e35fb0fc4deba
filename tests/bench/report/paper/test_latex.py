"""The paper's tables in LaTeX: escaped, balanced, numbered as in the paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.paper import latex as of_tables
from bench.report.paper.latex import Latex, fill, table_latex, typeset
from tests.bench.report.paper.runs import made, run, table_of

TABLE = Path(of_tables.__file__).with_name("table.tex")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("1.33e6", r"$1.33\times10^{6}$"),
        ("λ = 1e-5", r"$\lambda$ = $10^{-5}$"),
        ("λ=2.5e-05, p_skip = 0.5", r"$\lambda$=$2.5\times10^{-5}$, $p_\mathrm{skip}$ = 0.5"),
        ("b5d5ff725c1ace7f", "b5d5ff725c1ace7f"),
        ("a_b & 5 % ≠ {x}", r"a\_b \& 5 \% $\neq$ \{x\}"),
        ("Giró-i-Nieto", "Giró-i-Nieto"),
        ("数", "{[}U+6570{]}"),
        (Latex(r"\LaTeX"), r"\LaTeX"),
    ],
)
def test_values_are_typeset(text: str, latex: str):
    assert typeset(text) == latex


def test_a_template_escapes_what_it_is_given():
    values = {"number": 1, "name": "a", "wide": False, "widths": [], "numeric": 1, "heads": Latex("x"), "models": []}
    assert r"\caption{100 \%}" in fill(TABLE, caption="100 %", **values)


def test_a_table_has_the_paper_s_number_and_every_row_its_cells():
    table = table_of(3, [run(made("charades", "skip_gru", budget_cost=1e-2), quality=0.08)])
    latex = table_latex(table)
    assert r"\setcounter{table}{2}" in latex
    assert r"\VAR" not in latex
    assert latex.count("{") == latex.count("}")
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and " & " in line]
    assert {line.count(" & ") for line in rows} == {table.text.shape[1] - 1}
    assert len(rows) == len(table.text) + 2  # the head stands again on a second page
    assert r"Skip GRU, $\lambda$ = 0.01 & paper & 4 & 7.95 &" in latex


def test_lengths_are_heads_over_their_columns():
    latex = table_latex(table_of(4, [run(made("frequency", "gru"))]))
    assert r"\multicolumn{3}{c}{T = 100} & \multicolumn{3}{c}{T = 200} \\" in latex
    assert r"\cmidrule(lr){4-6}\cmidrule(lr){7-9}" in latex
