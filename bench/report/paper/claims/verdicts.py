"""The claims judged on a sweep's records: findings decided, then each framework, then the claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.records.store import Store
from bench.report.comparison.comparisons import null_of
from bench.report.comparison.null_pairs import NullComparison
from bench.report.paper.claims.catalogue import Claim, claims
from bench.report.paper.claims.findings import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    Finding,
    case_findings,
    pair_findings,
)
from bench.report.paper.claims.settings import Standing
from bench.report.paper.protocol import described


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim's verdict, with those of the frameworks and all that they rest on."""

    claim: Claim
    verdict: str
    frameworks: dict[str, str]
    findings: tuple[Finding, ...]

    @property
    def departed(self) -> str:
        """In what the trials behind it depart from the published protocol; empty where they keep it."""
        return described(dict.fromkeys(part for finding in self.findings for part in finding.departed))

    @property
    def kinds(self) -> str:
        """What the verdict speaks of: `direction`, `value` or both."""
        kinds = dict.fromkeys(finding.criterion.kind for finding in self.judged)
        return " and ".join(kinds)

    @property
    def judged(self) -> tuple[Finding, ...]:
        """The cases that the verdict rests on."""
        return _judged(self.claim, self.findings)


def judge(
    frame: pd.DataFrame, *, store: Store, asked: Sequence[Claim] | None = None, null: NullComparison | None = None
) -> list[Verdict]:
    """The verdict of every claim on the trials of a sweep.

    A framework is judged by its worst finding. A claim is reproduced where it is in every framework of the sweep, and
    not reproduced where it is not in one of them. Raises `RecordError` for a file of a trial that cannot be read.

    Args:
        frame: one row a trial, as `trials_frame` makes it.
        store: of the records, for the files beside them.
        asked: the claims to judge; None for all.
        null: frameworks beside engines in these trials; None where that is not computed yet.
    """
    own = {name: Standing(frame[frame["framework"] == name]) for name in sorted(set(frame["framework"]))}
    judged = asked or claims()
    if null is None and any(claim.across for claim in judged):
        null = null_of(frame)
    return [_judge_claim(claim, frame, own, null, store=store) for claim in judged]


def _judge_claim(
    claim: Claim, frame: pd.DataFrame, frameworks: Mapping[str, Standing], null: NullComparison | None, *, store: Store
) -> Verdict:
    if null is not None and claim.across:
        both = " and ".join(frameworks)
        found = {
            both: [one for criterion in claim.across for one in pair_findings(claim, criterion, null, frame, both)]
        }
    else:
        found = {
            framework: [
                one
                for criterion in claim.criteria
                for one in case_findings(claim, criterion, standing, framework, store)
            ]
            for framework, standing in frameworks.items()
        }
    # One refuting case refutes the claim, in whichever framework it is.
    refutable = sum(finding.can_refute for of_one in found.values() for finding in of_one)
    decided = {name: [_decide(claim, finding, of=refutable) for finding in of_one] for name, of_one in found.items()}
    verdicts = {name: _of_framework(claim, of_one) for name, of_one in decided.items()}
    findings = [finding for of_one in decided.values() for finding in of_one]
    return Verdict(claim=claim, verdict=_together(verdicts.values()), frameworks=verdicts, findings=tuple(findings))


def _decide(claim: Claim, finding: Finding, *, of: int) -> Finding:
    """The finding decided by its evidence; refuting it takes the level over how many could be refuted."""
    evidence = finding.evidence
    if evidence is None or not (finding.can_show or finding.can_refute):
        return finding
    if finding.can_show and evidence.shown <= claim.level:
        return replace(finding, verdict=REPRODUCED)
    if finding.can_refute and evidence.refuted <= claim.level / of:
        return replace(finding, verdict=NOT_REPRODUCED)
    if finding.can_show and finding.can_refute:
        return replace(finding, reason="; ".join(filter(None, [finding.reason, "the test is undecided"])))
    return finding


def _of_framework(claim: Claim, findings: Sequence[Finding]) -> str:
    """The worst finding of those that count."""
    return _together(finding.verdict for finding in _judged(claim, findings))


def _judged(claim: Claim, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Without values that a shrunk protocol leaves open, unless nothing else is there.

    A claim of whatever rows a sweep has (scope `any`) does not ask for those that were not run.
    """
    if claim.scope == "any":
        findings = [finding for finding in findings if finding.verdict != NOT_RUN] or findings
    return tuple(finding for finding in findings if not finding.open_value) or tuple(findings)


def _together(verdicts: Iterable[str]) -> str:
    there = set(verdicts)
    if NOT_REPRODUCED in there:
        return NOT_REPRODUCED
    return there.pop() if len(there) == 1 else INCONCLUSIVE
