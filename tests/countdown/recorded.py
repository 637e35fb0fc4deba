"""The committed sweeps, as they passed: when each trial began and ended, and what was estimated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.launch.duration.estimate import estimate_seconds
from bench.records.listing import read_listing
from bench.records.record import Record
from bench.records.store import Store
from tests.countdown.passing import Passed

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
# Between the last end and the next start of one command.
GAP_SECONDS = 10.0
# What a run of the sweep's trials must have to be looked at.
FEWEST = 16


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """Trials that passed one after the other, with the estimates of a quiet machine by trial id.

    Attributes:
        passed: by their start.
        estimates: seconds.
        workers: trials at a time.
    """

    passed: list[Passed]
    estimates: dict[str, float]
    workers: int


def recorded_runs(sweep: str, *, data: Path) -> list[RecordedRun]:
    """The runs of a committed sweep that were long enough, in order.

    Args:
        sweep: its name.
        data: the folder of data sets, for the estimates.
    """
    records = Store(REFERENCE).survey(read_listing(REFERENCE, sweep).trials).records.values()
    runs: list[list[Passed]] = []
    workers: dict[str, int] = {record.trial_id: record.workers or 1 for record in records}
    for each in sorted(map(_passed, records), key=lambda each: (each.start, each.end)):
        if not runs or each.start - max(before.end for before in runs[-1]) > GAP_SECONDS:
            runs.append([])
        runs[-1].append(each)
    return [
        RecordedRun(
            passed=run,
            estimates={each.trial.id: estimate_seconds(each.trial, data=data) or 0.0 for each in run},
            workers=max(workers[each.trial.id] for each in run),
        )
        for run in runs
        if len(run) >= FEWEST
    ]


def _passed(record: Record) -> Passed:
    """By its last attempt; older records tell of none, but when they were written."""
    assert record.total_seconds is not None
    if record.attempts:
        last = record.attempts[-1]
        start, end = _seconds(last.started), _seconds(last.ended)
    else:
        end = _seconds(record.finished)
        start = end - record.total_seconds
    return Passed(trial=record.trial, start=start, end=end, told=record.total_seconds)


def _seconds(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()
