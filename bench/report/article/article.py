"""A short article of a sweep, `paper.tex`: what was repeated, what came out, on what machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.report.comparison import words
from bench.report.comparison.comparisons import Comparisons
from bench.report.comparison.left_out import not_numbers, nothing_to_compare, unlike, untimed
from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.tables import cost_table, outcome_table
from bench.report.content import Content
from bench.report.figures.style import Picture
from bench.report.frames import STATUSES
from bench.report.names import framework_name, head, listed, many
from bench.report.page.sections import what_ran
from bench.report.paper.agreement import agreement, overall
from bench.report.paper.claims.findings import NOT_RUN
from bench.report.paper.claims.tables import counted, said_framework, said_numbers, said_rows
from bench.report.paper.claims.verdicts import Verdict
from bench.report.paper.latex import Latex, fill, table_line
from bench.report.paper.tables import RegeneratedTable
from bench.report.tables.results import settings_said

# Of the comparison's columns, those that an article has room for, and their shares of the line.
OUTCOMES = {
    "task": 0.17, "configuration": 0.15, "engine": 0.08, "pairs": 0.05, "quality_difference": 0.15,
    "quality_verdict": 0.095, "update_ratio_difference": 0.11, "update_ratio_verdict": 0.095,
}  # fmt: skip
COSTS = {
    "task": 0.17, "configuration": 0.155, "engine": 0.14, "pairs": 0.05, "training step": 0.15, "inference": 0.125,
    "memory": 0.12,
}  # fmt: skip


# Findings of a claim that an article has room for; the rest are counted.
MOST_FINDINGS = 4


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """A statement with what the records say of it."""

    statement: str
    verdict: str
    numbers: str


@dataclass(frozen=True, kw_only=True)
class ArticleTable:
    """A table of text whose columns have shares of the line."""

    caption: str
    widths: Sequence[float]
    heads: Latex
    lines: Sequence[Latex]


def article(content: Content) -> str:
    """The article's LaTeX, which stands beside the folders `paper` and `figures` of a report."""
    paper, trials, compared = content.paper, content.trials, content.compared
    claims = [row for verdict in content.verdicts if (row := _claim(verdict)) is not None]
    return fill(
        Path(__file__).with_name("article.tex"),
        sweep=content.sweep,
        description=content.description,
        counts=_counts(trials),
        settings=settings_said(content.table, where="trial"),
        named_frameworks=listed([framework_name(name) for name in sorted(trials["framework"].unique())]),
        tables=paper.tables,
        numbers=_numbers(paper.tables),
        shrunk=_numbers([table for table in paper.tables if table.departures]),
        overall=overall(paper.tables),
        agreements=[sentence for table in paper.tables for sentence in agreement(table)],
        figures=[_numbered(picture) for picture in paper.figures],
        claims=claims,
        verdicts=counted(content.verdicts),
        nothing=nothing_to_compare(trials, compared.frameworks),
        said=_said(compared),
        payment=[*words.payment(compared.skipping), *untimed(compared.skipping)],
        compared=_compared(compared.frameworks),
        margins=words.margins_text(),
        facts=what_ran(trials, sweep=content.sweep, command=content.command).facts,
    )


def _counts(trials: pd.DataFrame) -> str:
    """Such as `16 trials: 13 ok, 1 failed, 2 missing`."""
    counts = {status: int((trials["status"] == status).sum()) for status in STATUSES}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return f"{many(len(trials), 'trial')}: {told}"


def _numbers(tables: Sequence[RegeneratedTable]) -> str:
    """Such as `Table 1` or `Tables 1, 2 and 4`; empty for none."""
    if not tables:
        return ""
    return f"{'Table' if len(tables) == 1 else 'Tables'} {listed(str(table.layout.number) for table in tables)}"


def _numbered(picture: Picture) -> tuple[int, str, str]:
    """A figure's number in the paper, its file's name, and its caption without the number."""
    number = int(picture.name.rpartition("-")[2])
    caption = picture.caption.removeprefix(f"Figure {number}: ")
    return number, picture.name, caption[0].upper() + caption[1:]


def _claim(verdict: Verdict) -> ClaimRow | None:
    """A claim that was run, with the numbers of its first findings."""
    if verdict.verdict == NOT_RUN:
        return None
    told = [
        f"{said_framework(one.framework)}, {said_rows(one)}: {said_numbers(one)}"
        for one in verdict.findings
        if one.evidence
    ]
    further = len(told) - MOST_FINDINGS
    return ClaimRow(
        statement=f"{verdict.claim.statement} ({verdict.claim.source})",
        verdict=verdict.verdict + (f" ({verdict.kinds})" if verdict.departed else ""),
        numbers="; ".join(told[:MOST_FINDINGS]) + (f"; and {further} more in claims.csv" if further > 0 else ""),
    )


def _said(compared: Comparisons) -> list[str]:
    """What the comparison of frameworks found, and what it left out."""
    found = [*words.agreement(compared.frameworks), *words.against_null(compared.null)]
    return [*found, *unlike(compared.frameworks), *not_numbers(compared.frameworks)]


def _compared(comparison: Comparison) -> list[ArticleTable]:
    """The comparison's tables, typeset, with the columns that an article has room for."""
    signs = words.signs(comparison)
    wanted = (
        (f"Quality and updates: {signs}", outcome_table(comparison), OUTCOMES),
        (f"Times and memory: {signs}", cost_table(comparison), COSTS),
    )
    return [
        ArticleTable(
            caption=f"{caption}.",
            widths=list(widths.values()),
            heads=table_line([head(name) for name in widths]),
            lines=[table_line(row) for row in text[list(widths)].astype(str).to_numpy().tolist()],
        )
        for caption, text, widths in wanted
        if len(text)
    ]
