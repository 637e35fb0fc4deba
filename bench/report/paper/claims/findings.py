"""What each case of a claim's criteria finds on a sweep's trials: one finding a case, framework and setting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.records.record import FINISHED
from bench.records.store import Store
from bench.report.comparison.conditions import of_like_conditions
from bench.report.comparison.null_pairs import NullComparison
from bench.report.frames import MISSING
from bench.report.paper.claims.catalogue import Claim, Criterion, Row
from bench.report.paper.claims.criteria import OF_ONE, evidence_of, published_value, samples_of, seeds_in, troubled
from bench.report.paper.claims.evidence import Evidence
from bench.report.paper.claims.pairs import PairedDifferences, paired_differences
from bench.report.paper.claims.samples import TIMES, sample
from bench.report.paper.claims.settings import Standing
from bench.report.paper.claims.statistics import no_larger
from bench.report.paper.layout import paper_tables
from bench.report.paper.models import row_name
from bench.report.paper.protocol import Departure, departures, described

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN = "reproduced", "not reproduced", "inconclusive", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One case of a criterion, in one framework and setting.

    Attributes:
        criterion: what was asked.
        rows: the names of the rows, the statement's first; or the configuration.
        framework: of the trials; both of them where frameworks are compared.
        setting: in what it differs from the criterion's other settings; empty where there is one.
        verdict: one of `VERDICTS`.
        reason: why it is not decided, or what else is to be known; may be empty.
        evidence: the numbers; None where there are none.
        published: the paper's numbers for the same rows, None for each that it does not print.
        departed: in what the trials depart from the published protocol.
        can_show, can_refute: what the evidence may decide; seeds, protocol and updates leave it to neither or one.
    """

    criterion: Criterion
    rows: tuple[str, ...]
    framework: str
    setting: str = ""
    verdict: str
    reason: str = ""
    evidence: Evidence | None = None
    published: tuple[float | None, ...] = ()
    departed: tuple[Departure, ...] = ()
    can_show: bool = False
    can_refute: bool = False

    @property
    def open_value(self) -> bool:
        """Whether it asks for a published value where the protocol is not the published one."""
        return self.criterion.kind == "value" and bool(self.departed)


def case_findings(
    claim: Claim, criterion: Criterion, standing: Standing, framework: str, store: Store
) -> Iterator[Finding]:
    """Every case of a criterion in every setting; settings that lack a row yield to one that has all."""
    for case in criterion.cases:
        rows = criterion.rows(case)
        settings = standing.by_setting(rows)
        found = [
            _case(claim, criterion, rows, trials, store=store, framework=framework, setting=setting)
            for setting, trials in (settings or {"": [standing.trials(row) for row in rows]}).items()
        ]
        yield from [one for one in found if one.verdict != NOT_RUN] or found[:1]


def _case(
    claim: Claim,
    criterion: Criterion,
    rows: Sequence[Row],
    trials: Sequence[pd.DataFrame],
    *,
    store: Store,
    framework: str,
    setting: str,
) -> Finding:
    finding = Finding(
        criterion=criterion,
        rows=tuple(row.name for row in rows),
        framework=framework,
        setting=setting,
        verdict=NOT_RUN,
        published=tuple(published_value(criterion.measure, row.published) for row in rows),
        departed=_departures(criterion, trials),
    )
    usable = FINISHED if criterion.measure == "solved" else ("ok",)
    lacking = [
        (row, own) for row, own in zip(rows, trials, strict=True) if own.empty or not own["status"].isin(usable).any()
    ]
    if lacking:
        ran = all(not own.empty and (own["status"] != MISSING).any() for _, own in lacking)
        reason = "; ".join(_absence(row, own) for row, own in lacking)
        return replace(finding, verdict=INCONCLUSIVE if ran else NOT_RUN, reason=reason)
    compared, unlike = of_like_conditions(trials) if criterion.measure in TIMES else (trials, {})
    samples = samples_of(criterion, compared, store=store)
    n = seeds_in(criterion, samples)
    finding = replace(finding, verdict=INCONCLUSIVE, reason=_seeds(samples, n, claim, trials, unlike))
    if trouble := troubled(criterion, samples):
        return replace(finding, reason=trouble)
    if n < (1 if criterion.statistic in OF_ONE else 2):
        return finding
    finding = replace(finding, evidence=evidence_of(criterion, rows, samples))
    if finding.open_value:
        return replace(finding, reason=f"a shrunk protocol shows no value: {described(finding.departed)}")
    if n < claim.least_seeds:
        return finding
    return _at_equal_updates(replace(finding, can_show=True, can_refute=True), trials, store=store)


def pair_findings(
    claim: Claim, criterion: Criterion, null: NullComparison, frame: pd.DataFrame, both: str
) -> Iterator[Finding]:
    """Every configuration with a seed whose four trials are pairs; one finding that there is none."""
    found = [_pair(claim, criterion, one, both) for one in paired_differences(null, frame, measure=criterion.measure)]
    words = criterion.measure.replace("_", " ")
    reason = f"no seed has four trials that are pairs, both frameworks on both engines, with {words} to compare"
    yield from found or [Finding(criterion=criterion, rows=(), framework=both, verdict=NOT_RUN, reason=reason)]


def _pair(claim: Claim, criterion: Criterion, found: PairedDifferences, both: str) -> Finding:
    finding = Finding(
        criterion=criterion, rows=(f"{found.problem}: {found.label}",), framework=both, verdict=INCONCLUSIVE
    )
    n = len(found.differences)
    enough = n >= claim.least_seeds
    words = [] if enough else [_too_few(n, claim)]
    if n < found.asked:
        words.append(f"{found.asked - n} of {found.asked} seeds lack one of the four pairs")
    if any(value != value for value in (*found.differences, *found.null)):  # NaN
        return replace(finding, reason=f"a pair has no finite {criterion.measure.replace('_', ' ')}")
    evidence = no_larger(found.differences, found.null, factor=criterion.factor or 1.0)
    return replace(finding, evidence=evidence, reason="; ".join(words), can_show=enough, can_refute=enough)


def _at_equal_updates(finding: Finding, trials: Sequence[pd.DataFrame], *, store: Store) -> Finding:
    """The finding, where updates are unequal open to what they cannot explain alone.

    Being better with more updates shows nothing, and being worse with fewer refutes nothing.
    """
    if finding.criterion.equal_updates is None:
        return finding
    ratios = [sample("update_ratio", rows, store=store) for rows in trials]
    own, other = (sum(ratio.values()) / len(ratio) for ratio in ratios)
    if abs(own - other) <= finding.criterion.equal_updates:
        return finding
    words = f"not at equal updates: {own:.1%} against {other:.1%} of the steps"
    return replace(
        finding,
        can_show=own < other,
        can_refute=own > other,
        reason="; ".join(filter(None, [finding.reason, words])),
    )


def _departures(criterion: Criterion, trials: Sequence[pd.DataFrame]) -> tuple[Departure, ...]:
    if criterion.table is None or all(own.empty for own in trials):
        return ()
    found = departures(paper_tables()[criterion.table - 1], pd.concat(list(trials)))
    if criterion.measure == "flops_of_an_update":  # how long a cell was trained does not decide it
        return tuple(departure for departure in found if departure.of_size)
    return found


def _absence(row: Row, trials: pd.DataFrame) -> str:
    if trials.empty:
        return f"{row_name(row.name)} is not in the sweep"
    counts = {status: int((trials["status"] == status).sum()) for status in dict.fromkeys(trials["status"])}
    words = ", ".join(
        f"{count} {'without a record' if status == MISSING else status}" for status, count in counts.items()
    )
    return f"{row_name(row.name)}: {words}"


def _too_few(n: int, claim: Claim) -> str:
    return f"{n} {'seed' if n == 1 else 'seeds'}, {claim.least_seeds} needed"


def _seeds(
    samples: Sequence[Mapping[int, float]],
    n: int,
    claim: Claim,
    trials: Sequence[pd.DataFrame],
    unlike: Mapping[int, str],
) -> str:
    """Why fewer seeds count than were asked for: `n` do, and `unlike` says why conditions leave some out."""
    seeds = [set(own["seed"]) for own in trials]
    asked, apart = max(map(len, seeds)), 0
    # Where samples share no seed they are compared unpaired, and none is left out for being in one row alone.
    if not n or set.intersection(*map(set, samples)):
        asked = len(set.union(*seeds))
        apart = asked - len(set.intersection(*seeds))
    words = []
    if n < claim.least_seeds:
        words.append(_too_few(n, claim))
    for why, count in Counter(unlike.values()).items():
        words.append(f"{count} of {asked} seeds left out: their sides ran with other {why}")
    if apart:
        words.append(f"{apart} of {asked} seeds not in {'both rows' if len(trials) == 2 else 'every row'}")
    if apart + n + len(unlike) < asked:
        words.append(f"{asked - apart - n - len(unlike)} of {asked} seeds have no number")
    return "; ".join(words)
