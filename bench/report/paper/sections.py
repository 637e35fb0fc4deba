"""The paper on the page: its tables and figures, regenerated."""

from __future__ import annotations

from bench.report.html.rendering import Section
from bench.report.html.tables import PageTable
from bench.report.paper.agreement import agreement
from bench.report.paper.regenerated import RegeneratedPaper


def paper_sections(paper: RegeneratedPaper) -> list[Section]:
    """Tables 1 to 6 and Figures 2 to 6, as far as the sweep has them."""
    return [_tables(paper), _figures(paper)]


def _tables(paper: RegeneratedPaper) -> Section:
    if not paper.tables:
        return Section(title="The paper's tables", prose=["No trial of this sweep stands in a table of the paper."])
    return Section(
        title="The paper's tables",
        prose=[
            "Each row of the paper, then ours for each framework. “− paper” is ours less the published number, "
            "computed before rounding. A row solves its task where every run does."
        ],
        points=[sentence for table in paper.tables for sentence in agreement(table)],
        tables=[PageTable(caption=table.caption, text=table.text) for table in paper.tables],
        links=[
            ("paper.tex (an article of all this; make paper typesets it)", "paper.tex"),
            *(
                (f"{table.name}.{ending}", f"paper/{table.name}.{ending}")
                for table in paper.tables
                for ending in ("csv", "md", "tex")
            ),
        ],
    )


def _figures(paper: RegeneratedPaper) -> Section:
    if not paper.figures:
        return Section(title="The paper's figures", prose=["No run of this sweep stands in a figure of the paper."])
    return Section(
        title="The paper's figures",
        pictures=paper.figures,
        links=[(f"{picture.title} (PDF)", f"figures/{picture.name}.pdf") for picture in paper.figures],
    )
