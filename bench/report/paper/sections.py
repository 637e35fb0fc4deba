"""The paper on the page: its tables and figures, regenerated."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.page.rendering import PageTable, Section
from bench.report.paper.tables import RegeneratedTable


def paper_tables_section(tables: Sequence[RegeneratedTable]) -> Section:
    """Tables 1 to 6, as far as the sweep has trials for them."""
    if not tables:
        return Section(title="The paper's tables", prose=["No trial of this sweep stands in a table of the paper."])
    return Section(
        title="The paper's tables",
        prose=[
            "Each row of the paper, then ours for each framework. “− paper” is ours less the published number, "
            "computed before rounding. A row solves its task where every run does."
        ],
        tables=[PageTable(caption=table.caption, text=table.text) for table in tables],
        links=[
            (f"Table {table.layout.number}: {table.name}.{ending}", f"paper/{table.name}.{ending}")
            for table in tables
            for ending in ("csv", "md", "tex")
        ],
    )
