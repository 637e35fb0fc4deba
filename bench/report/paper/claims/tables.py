"""Verdicts as tables: one row a claim, and one a finding with the numbers behind it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.report.names import framework_name
from bench.report.numbers import number
from bench.report.paper.claims.catalogue import Criterion
from bench.report.paper.claims.evidence import Evidence
from bench.report.paper.claims.findings import NOT_RUN, REPRODUCED, VERDICTS, Finding
from bench.report.paper.claims.verdicts import Verdict
from bench.report.paper.models import row_name
from bench.report.paper.protocol import described

# A p-value below this is written so: t and F of a few seeds say no more.
LEAST_P = 1e-4


def counted(verdicts: Sequence[Verdict]) -> str:
    """Such as `26 claims: 3 reproduced, 1 not reproduced, 22 not run`."""
    counts = {name: sum(verdict.verdict == name for verdict in verdicts) for name in VERDICTS}
    return f"{len(verdicts)} claims: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def verdict_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row a claim, as text.

    `in` names the frameworks that have the verdict, `shows` what it speaks of, `cases` how many of the cases of these
    kinds are reproduced, and how many more a shrunk protocol leaves open, `seeds` the fewest that one of them rests on.
    """
    rows = []
    for verdict in verdicts:
        run = [finding for finding in verdict.findings if finding.evidence is not None]
        rows.append(
            {
                "claim": verdict.claim.id,
                "verdict": verdict.verdict,
                "in": _where(verdict),
                "shows": verdict.kinds.replace(" and ", ", ") if verdict.verdict != NOT_RUN else "–",
                "cases": _cases(verdict) if run else "–",
                "seeds": str(min(one.evidence.n for one in run if one.evidence)) if run else "–",
            }
        )
    return pd.DataFrame(rows)


def _where(verdict: Verdict) -> str:
    if verdict.verdict == NOT_RUN:
        return "–"
    names = [name for name, own in verdict.frameworks.items() if own == verdict.verdict]
    return said_framework(" and ".join(names)).replace(" and ", ", ") or "–"


def _cases(verdict: Verdict) -> str:
    """Such as `4 of 4`, with the values that a shrunk protocol leaves open told apart: `4 of 4 (4 open)`."""
    judged = verdict.judged
    still_open = sum(finding.open_value for finding in verdict.findings) - sum(one.open_value for one in judged)
    told = f"{sum(one.verdict == REPRODUCED for one in judged)} of {len(judged)}"
    return f"{told} ({still_open} open)" if still_open else told


def stated_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """The verdicts with their statements, sources and, where a protocol is shrunk, in what: for pages and papers."""
    table = verdict_table(verdicts)
    table.insert(3, "statement", [verdict.claim.statement for verdict in verdicts])
    table.insert(4, "source", [verdict.claim.source for verdict in verdicts])
    table["protocol"] = [_protocol(verdict) for verdict in verdicts]
    return table


def _protocol(verdict: Verdict) -> str:
    """In what it is shrunk, or that it is the published one; a dash where none is published, or nothing was run."""
    if verdict.verdict == NOT_RUN or not verdict.claim.is_published:
        return "–"
    return f"shrunk: {verdict.departed}" if verdict.departed else "published"


def findings_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row a finding, numbers in full precision."""
    return pd.DataFrame([_content(verdict, finding) for verdict in verdicts for finding in verdict.findings])


def numbers_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row a finding of the claims that were run, as text."""
    rows = [
        {
            "claim": verdict.claim.id,
            "framework": said_framework(finding.framework),
            "rows": said_rows(finding),
            "verdict": finding.verdict,
            "numbers": said_numbers(finding),
            "published": said_published(finding),
            "asked": said_criterion(finding.criterion),
            "why": finding.reason or "–",
        }
        for verdict in verdicts
        for finding in verdict.findings
        if finding.verdict != NOT_RUN
    ]
    return pd.DataFrame(rows)


def to_json(verdicts: Sequence[Verdict]) -> str:
    """The claims with their findings; numbers that are not finite are null."""
    content = [
        {
            "claim": verdict.claim.id,
            "statement": verdict.claim.statement,
            "source": verdict.claim.source,
            "verdict": verdict.verdict,
            "frameworks": verdict.frameworks,
            "shows": verdict.kinds,
            "departures": verdict.departed,
            "findings": [
                {key: _json(value) for key, value in _content(verdict, finding).items() if key != "claim"}
                for finding in verdict.findings
            ],
        }
        for verdict in verdicts
    ]
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)


def said_rows(finding: Finding) -> str:
    """The rows of a finding in words, with its setting where there are several."""
    names = map(row_name, finding.rows) if finding.criterion.cases else finding.rows
    rows = " against ".join(names) or "–"
    return f"{rows} ({finding.setting})" if finding.setting else rows


def said_framework(frameworks: str) -> str:
    """A framework for people, or several that are judged together."""
    return " and ".join(map(framework_name, frameworks.split(" and ")))


def said_criterion(criterion: Criterion) -> str:
    """What is asked, such as `update ratio, near, margin 0.1 (value)`."""
    words = [criterion.measure.replace("_", " "), criterion.statistic.replace("_", " ")]
    words += [f"{name} {_plain(value)}" for name, value in criterion.numbers.items()]
    return f"{', '.join(words)} ({criterion.kind})"


def _plain(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"


def said_numbers(finding: Finding) -> str:
    """The evidence in a line: the estimate with its interval, the test, p of the data without the claim, and n."""
    evidence = finding.evidence
    if evidence is None:
        return "–"
    if finding.criterion.statistic == "every":
        return f"{round(evidence.estimate * evidence.n)} of {evidence.n} seeds as claimed"
    parts = [f"{evidence.measured} {number(evidence.estimate)}{_interval(evidence)}"]
    if evidence.test:
        parts += [evidence.test, f"p {_p(evidence.shown)}, of the opposite {_p(evidence.refuted)}"]
    return ", ".join([*parts, f"n = {evidence.n}"])


def said_published(finding: Finding) -> str:
    """The paper's numbers of the same rows."""
    if not any(value is not None for value in finding.published):
        return "–"
    if finding.criterion.measure == "solved":
        return " against ".join("solved" if value else "not solved" for value in finding.published)
    return " against ".join(number(value) for value in finding.published)


def _interval(evidence: Evidence) -> str:
    if evidence.low is None or evidence.high is None:
        return ""
    return f" [{number(evidence.low)}, {number(evidence.high)}]"


def _p(value: float) -> str:
    return f"< {LEAST_P:g}".replace("0.0001", "1e-4") if value < LEAST_P else f"= {number(value, digits=2)}"


def _content(verdict: Verdict, finding: Finding) -> dict[str, Any]:
    evidence = finding.evidence
    return {
        "claim": verdict.claim.id,
        "claim_verdict": verdict.verdict,
        "framework": finding.framework,
        "kind": finding.criterion.kind,
        "statistic": finding.criterion.statistic,
        "measure": finding.criterion.measure,
        "rows": " | ".join(finding.rows),
        "setting": finding.setting,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "measured": evidence.measured if evidence else "",
        "estimate": evidence.estimate if evidence else None,
        "low": evidence.low if evidence else None,
        "high": evidence.high if evidence else None,
        "test": evidence.test if evidence else "",
        "p": evidence.shown if evidence else None,
        "p_opposite": evidence.refuted if evidence else None,
        "n": evidence.n if evidence else 0,
        "published": " | ".join("" if value is None else f"{value:.6g}" for value in finding.published),
        "departures": described(finding.departed),
    }


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
