"""Exports a sweep: its records as runs, given to the tool that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError
from bench.plan.trial import Trial
from bench.records.store import Store
from bench.report.exports.hyperparameters import write_hyperparameters
from bench.report.exports.runs import exported_runs
from bench.report.exports.tracking import log_runs
from bench.report.frames import read_records, sweep_frame
from impls.errors import nearest

TOOLS = ("mlflow", "tensorboard")


def export(sweep: str, *, tool: str, place: str, results: Path, trials: Sequence[Trial] | None) -> tuple[int, int]:
    """See `bench.report.export_runs`."""
    if tool not in TOOLS:
        raise UserError(f"--to {tool}: not one of {', '.join(TOOLS)}{nearest(tool, TOOLS)}")
    frame = sweep_frame(read_records(sweep, results=results, trials=trials))
    runs = list(exported_runs(frame, store=Store(results), sweep=sweep))
    if tool == "mlflow":
        return log_runs(runs, sweep=sweep, address=place)
    return write_hyperparameters(runs, folder=Path(place))
