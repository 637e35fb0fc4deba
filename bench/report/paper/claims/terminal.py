"""The claims printed: a table of verdicts that fits 100 columns, then the numbers behind each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bench.report.paper.claims.findings import NOT_RUN, Finding
from bench.report.paper.claims.tables import (
    counted,
    said_criterion,
    said_framework,
    said_numbers,
    said_published,
    said_rows,
    verdict_table,
)
from bench.report.paper.claims.verdicts import Verdict

WIDTH = 100


def claim_lines(verdicts: Sequence[Verdict], *, sweep: str) -> Iterator[str]:
    """The lines, none wider than `WIDTH`."""
    yield f"{sweep}: {counted(verdicts)}"
    yield ""
    table = verdict_table(verdicts)
    widths = {name: max(map(len, [str(name), *table[name]])) for name in table}
    yield "  ".join(f"{name:{width}}" for name, width in widths.items()).rstrip()
    for row in table.to_numpy().tolist():
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths.values(), strict=True)).rstrip()
    for verdict in verdicts:
        if verdict.verdict != NOT_RUN:
            yield ""
            yield from _numbers(verdict)


def _numbers(verdict: Verdict) -> Iterator[str]:
    yield from _folded(f"{verdict.claim.id} ({verdict.claim.source}): {verdict.claim.statement}", indent="")
    frameworks = "; ".join(f"{said_framework(name)}: {own}" for name, own in verdict.frameworks.items())
    yield from _folded(frameworks, indent="  ")
    if verdict.departed:
        yield from _folded(f"a shrunk protocol, which shows no value: {verdict.departed}", indent="  ")
    shown = [one for one in verdict.findings if verdict.claim.scope == "all" or one.verdict != NOT_RUN]
    for criterion in dict.fromkeys(finding.criterion for finding in shown):
        yield from _folded(said_criterion(criterion), indent="  ")
        for finding in shown:
            if finding.criterion == criterion:
                yield from _folded(_finding(finding), indent="  - ")


def _finding(finding: Finding) -> str:
    parts = [f"{said_framework(finding.framework)}, {said_rows(finding)}: {finding.verdict}"]
    if finding.evidence is not None:
        parts.append(said_numbers(finding))
    if (published := said_published(finding)) != "–":
        parts.append(f"published {published}")
    if finding.reason:
        parts.append(finding.reason)
    return "; ".join(parts)


def _folded(text: str, *, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False
    )
