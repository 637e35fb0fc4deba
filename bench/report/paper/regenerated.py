"""The paper regenerated: its tables, its figures, and the files that they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.records.store import Store
from bench.report.figures.style import Picture
from bench.report.paper.curves import curve_figures
from bench.report.paper.gates import gate_figures
from bench.report.paper.latex import table_latex
from bench.report.paper.tables import RegeneratedTable, regenerated_tables
from bench.report.tables.formats import to_markdown


@dataclass(frozen=True, kw_only=True)
class RegeneratedPaper:
    """What of the paper a sweep's records can make, in the paper's order."""

    tables: Sequence[RegeneratedTable]
    figures: Sequence[Picture]


def regenerate_paper(trials: pd.DataFrame, *, store: Store) -> RegeneratedPaper:
    """Computes the tables and draws the figures. Raises `RecordError` for a damaged curve or sequence."""
    figures = [*curve_figures(trials, store=store), *gate_figures(trials, store=store)]
    return RegeneratedPaper(
        tables=regenerated_tables(trials), figures=sorted(figures, key=lambda picture: picture.name)
    )


def write_tables(tables: Sequence[RegeneratedTable], *, folder: Path) -> None:
    """Writes `table-<number>.csv` in full precision, and `.md` and `.tex` as people read it."""
    if tables:
        folder.mkdir()
    for table in tables:
        table.measured.to_csv(folder / f"{table.name}.csv", index=False)
        markdown = f"**{table.caption}**\n\n{to_markdown(table.text)}"
        (folder / f"{table.name}.md").write_text(markdown, encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(table_latex(table), encoding="utf-8")
