"""Writes the regenerated tables: full precision as CSV, and as people read them in Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report.paper.latex import table_latex
from bench.report.paper.tables import RegeneratedTable
from bench.report.tables.formats import to_markdown


def write_tables(tables: Sequence[RegeneratedTable], *, folder: Path) -> None:
    """Writes `table-<number>.csv`, `.md` and `.tex` of each."""
    if tables:
        folder.mkdir()
    for table in tables:
        table.measured.to_csv(folder / f"{table.name}.csv", index=False)
        markdown = f"**{table.caption}**\n\n{to_markdown(table.text)}"
        (folder / f"{table.name}.md").write_text(markdown, encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(table_latex(table), encoding="utf-8")
