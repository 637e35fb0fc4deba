"""The paper on the page: its tables and figures, regenerated."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.records.store import Store
from bench.report.page.rendering import Section
from bench.report.page.tables import PageTable
from bench.report.paper.curves import curve_figures
from bench.report.paper.gates import gate_figures
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


def paper_figures_section(trials: pd.DataFrame, *, store: Store) -> Section:
    """Figures 2 to 6, as far as the sweep's records have their curves and gates. Draws them."""
    pictures = sorted(
        [*curve_figures(trials, store=store), *gate_figures(trials, store=store)], key=lambda picture: picture.name
    )
    if not pictures:
        return Section(title="The paper's figures", prose=["No run of this sweep stands in a figure of the paper."])
    return Section(
        title="The paper's figures",
        pictures=pictures,
        links=[(f"{picture.title} (PDF)", f"figures/{picture.name}.pdf") for picture in pictures],
    )
