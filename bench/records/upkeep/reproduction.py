"""A trial that was trained again beside its first record: what is the same, and what a difference means."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.records.files import FileName
from bench.records.record import START, Record

Verdict = Literal[
    "identical",
    "the same numbers",
    "within the seeds' spread",
    "apart",
    "not judged",
    "started otherwise",
    "ended otherwise",
]
REPRODUCED: tuple[Verdict, ...] = ("identical", "the same numbers", "within the seeds' spread")
OUTCOME = ("quality", "loss", "update_ratio")
# Of a trial that did not come to one.
END = ("steps", "error")
# Beside the record: the trained parameters and the gates of shown sequences.
FILES: tuple[FileName, ...] = ("final.npz", "gates.npz")
# A second training of one seed may be as far from the first as this many standard deviations over seeds.
DEVIATIONS = 3.0
FEWEST_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A trial's first record and its second.

    Attributes:
        first, again: the records.
        verdict: `identical` where all numbers of the outcome, the trained parameters and the gates are the same, bit
            for bit; `the same numbers` where those of the outcome are, and the records tell no file that can be
            compared; `within the seeds' spread` where no number differs by more than three standard deviations over the
            seeds of its configuration; `not judged` where fewer than three seeds tell them; `started otherwise`
            where initial parameters, batches or data are not the same, as far as both records tell them, which is a
            defect or another data set.
        differing: what is not the same, in words, such as `quality` or `final.npz`.
        conditions: in what the two ran under other conditions, in words: a reason why rounding may differ.
    """

    first: Record
    again: Record
    verdict: Verdict
    differing: tuple[str, ...]
    conditions: tuple[str, ...]

    @property
    def reproduced(self) -> bool:
        """Whether the second confirms the first."""
        return self.verdict in REPRODUCED


def compared(first: Record, again: Record, *, seeds: Sequence[Record]) -> Reproduction:
    """Compares a trial's second record with its first.

    Args:
        first: the one that is held against.
        again: the new one, of the same trial.
        seeds: the records of its configuration in its framework, every seed's, the first one's too.
    """
    told = [name for name in START if getattr(first, name) and getattr(again, name)]
    of_start = [name for name in told if getattr(first, name) != getattr(again, name)]
    of_outcome = [name for name in OUTCOME if getattr(first, name) != getattr(again, name)]
    of_end = [] if first.status == "ok" else [name for name in END if getattr(first, name) != getattr(again, name)]
    both = [name for name in FILES if name in first.files and name in again.files]
    other_files = [name for name in both if first.files[name] != again.files[name]]
    verdict: Verdict
    if first.status != again.status:
        verdict = "ended otherwise"
    elif of_start:
        verdict = "started otherwise"
    elif of_end:
        verdict = "ended otherwise"
    elif not of_outcome and not other_files:
        verdict = "identical" if both else "the same numbers"
    else:
        verdict = _of_spread(first, again, seeds=seeds)
    return Reproduction(
        first=first,
        again=again,
        verdict=verdict,
        differing=(*of_start, *of_outcome, *of_end, *other_files),
        conditions=tuple(_conditions(first, again)),
    )


def _of_spread(first: Record, again: Record, *, seeds: Sequence[Record]) -> Verdict:
    ended = [record for record in seeds if record.status == "ok"]
    if len({record.trial.seed for record in ended}) < FEWEST_SEEDS:
        return "not judged"
    for name in OUTCOME:
        one, other = getattr(first, name), getattr(again, name)
        values = [value for record in ended if (value := getattr(record, name)) is not None]
        if one is None or other is None or len(values) < FEWEST_SEEDS:
            if one != other:
                return "not judged"
            continue
        if abs(other - one) > DEVIATIONS * statistics.stdev(values):
            return "apart"
    return "within the seeds' spread"


def _conditions(first: Record, again: Record) -> list[str]:
    one, other = _named(first), _named(again)
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    return [f"{name} {other.get(name, 'not told')} for {one.get(name, 'not told')}" for name in names]


def _named(record: Record) -> dict[str, Any]:
    """What rounding depends on beside the trial."""
    environment = record.environment
    packages: Mapping[str, Any] = environment.get("packages", {})
    names = ("processor", "gpu", "python", "blas", "variables", "task_code")
    of_machine = {name: environment[name] for name in names if environment.get(name)}
    commit = environment.get("project", {}).get("commit")
    told = {"implementation": record.implementation} if record.implementation else {}
    return of_machine | dict(packages) | told | ({"commit": str(commit)[:10]} if commit else {})
