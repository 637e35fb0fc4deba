"""A short article of a sweep, `paper.tex`: what was repeated, what came out, on what machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.figures.style import Picture
from bench.report.frames import STATUSES
from bench.report.paper.agreement import agreement, overall
from bench.report.paper.latex import fill, table_line
from bench.report.paper.models import framework_name
from bench.report.paper.regenerated import RegeneratedPaper
from bench.report.paper.tables import RegeneratedTable

# Of the comparison's columns, those that an article has room for: their heads, and their shares of the line.
COMPARED = {
    "task": ("Task", 0.17), "configuration": ("Configuration", 0.15), "pairs": ("Pairs", 0.05),
    "quality_difference": ("Quality, difference", 0.21), "update_ratio_difference": ("Update ratio, difference", 0.19),
    "step_milliseconds_ratio": ("Training step, ratio", 0.15),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ClaimRow:
    """One of the paper's statements, with what the records say of it."""

    statement: str
    verdict: str
    numbers: str


@dataclass(frozen=True, kw_only=True)
class Frameworks:
    """The framework comparison as text.

    Attributes:
        direction: what differences and ratios are of.
        text: one row a configuration; an article shows the columns named in `COMPARED`.
    """

    direction: str
    text: pd.DataFrame


def article(
    paper: RegeneratedPaper,
    trials: pd.DataFrame,
    *,
    sweep: str,
    description: str,
    facts: Sequence[tuple[str, str]],
    frameworks: Frameworks | None,
    claims: Sequence[ClaimRow] = (),
) -> str:
    """The article's LaTeX, which stands beside the folders `paper` and `figures` of a report.

    Args:
        paper: its tables and figures.
        trials: all of the sweep's, a row each.
        sweep, description: its name, and what its file says of it.
        facts: the machine and the versions, as names and values.
        frameworks: the comparison of the frameworks; None where no two trials form a pair.
        claims: the paper's statements, judged; none leaves that section out.
    """
    return fill(
        "article.tex",
        sweep=sweep,
        description=description,
        counts=_counts(trials),
        named_frameworks=_listed([framework_name(name) for name in sorted(trials["framework"].unique())]),
        tables=paper.tables,
        numbers=_numbers(paper.tables),
        shrunk=_numbers([table for table in paper.tables if table.departures]),
        overall=overall(paper.tables),
        agreements=[sentence for table in paper.tables for sentence in agreement(table)],
        figures=[_numbered(picture) for picture in paper.figures],
        claims=claims,
        verdicts=_verdicts(claims),
        frameworks=frameworks,
        compared=None if frameworks is None else _compared(frameworks.text),
        facts=facts,
    )


def _counts(trials: pd.DataFrame) -> str:
    """Such as `16 trials: 13 ok, 1 failed, 2 missing`."""
    counts = {status: int((trials["status"] == status).sum()) for status in STATUSES}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}: {told}"


def _numbers(tables: Sequence[RegeneratedTable]) -> str:
    """Such as `Table 1` or `Tables 1, 2 and 4`; empty for none."""
    listed = _listed([str(table.layout.number) for table in tables])
    return f"{'Table' if len(tables) == 1 else 'Tables'} {listed}" if tables else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _numbered(picture: Picture) -> tuple[int, str, str]:
    """A figure's number in the paper, its file's name, and its caption without the number."""
    number = int(picture.name.rpartition("-")[2])
    caption = picture.caption.removeprefix(f"Figure {number}: ")
    return number, picture.name, caption[0].upper() + caption[1:]


def _verdicts(claims: Sequence[ClaimRow]) -> str:
    """How many claims came out how, such as `3 reproduced, 1 inconclusive`."""
    verdicts = [claim.verdict for claim in claims]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))


def _compared(text: pd.DataFrame) -> dict[str, Any]:
    """The columns that an article has room for, typeset."""
    known = [name for name in COMPARED if name in text]
    rows = text[known].astype(str).to_numpy().tolist()
    heads, widths = zip(*(COMPARED[name] for name in known), strict=True)
    return {"widths": widths, "heads": table_line(heads), "lines": [table_line(row) for row in rows]}
