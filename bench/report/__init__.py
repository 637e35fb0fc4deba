"""Reports, computed from records alone; the doors that the commands call, which import pandas and seaborn late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from bench.plan.trial import Trial
    from bench.records.record import Record


def write_report(
    sweep: str,
    *,
    results: Path,
    reports: Path,
    trials: Sequence[Trial] | None = None,
    command: str = "",
    description: str = "",
) -> Path:
    """Writes `reports/<sweep>/` (page, tables, figures, data) and returns the path of its index.html.

    The folder is replaced as a whole once everything is written, so it is never half a report.

    Args:
        sweep: whose records to report.
        results, reports: the folders that hold all sweeps' records and reports.
        trials: what the sweep asks for; those without a record are shown as missing. None reports the records of what
            the sweep was when it was last run.
        command: the command line that ran the sweep, for the page.
        description: of the sweep, for the page.

    Records that cannot be believed are named and left out. Raises `RecordError` where no others are left.
    """
    from bench.report.writing import write

    return write(sweep, results=results, reports=reports, trials=trials, command=command, description=description)


def results_table(records: Iterable[Record], *, missing: Sequence[Trial] = ()) -> DataFrame:
    """The results table as a terminal shows it: text cells, one row a configuration, seeds aggregated.

    Columns with the same value in every row are left out, except the task, cell and framework.
    """
    from bench.report.frames import trials_frame
    from bench.report.tables.results import aggregate, readable

    return readable(aggregate(trials_frame(records, missing=missing))).varying


def compare(sweep: str, *, results: Path, trials: Sequence[Trial] | None = None) -> DataFrame:
    """Paired differences between frameworks, with their verdicts, as text: one row a configuration.

    `trials` are what the sweep asks for, as in `write_report`.
    Records that cannot be believed are named and left out. Raises `RecordError` where no others are left.
    """
    from bench.report.comparison.paired_differences import compare
    from bench.report.comparison.tables import outcome_table
    from bench.report.frames import read_records, sweep_frame

    frame = sweep_frame(read_records(sweep, results=results, trials=trials), trials=trials)
    return outcome_table(compare(frame, apart="framework"))


def write_speed_report(*, results: Path, reports: Path, command: str = "") -> Path:
    """Writes `reports/speed/` from `results/speed/benchmarks.json`; returns the path of its index.html.

    Raises `SpeedError` where that file is missing or cannot be read.
    """
    from bench.report.speed.page import write_speed

    return write_speed(results=results, reports=reports, command=command)


def print_speed(*, results: Path, console: Console) -> None:
    """Prints what skipping saves, by engine. Raises `SpeedError` where there are no results."""
    from bench.report.terminal import show_speed

    show_speed(results=results, console=console)


def print_results(sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Prints the results table; those of `trials` without a record are rows too, with the status `missing`."""
    from bench.report.terminal import show_results

    show_results(sweep, results=results, console=console, trials=trials)


def print_comparison(sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Prints the framework comparison, and which of `trials` lack a partner or a record.

    Raises `RecordError` where there are no records.
    """
    from bench.report.terminal import show_comparison

    show_comparison(sweep, results=results, console=console, trials=trials)


def print_claims(
    sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None, as_json: bool = False
) -> bool:
    """Judges the claims and prints the verdicts with their numbers; returns whether none is *not reproduced*.

    Args:
        sweep, trials: whose records to judge, as in `write_report`.
        results: the folder of records.
        console: where to print.
        as_json: prints one JSON list, with every finding.

    Raises `RecordError` where there are no records.
    """
    from bench.report.terminal import show_claims

    return show_claims(sweep, results=results, console=console, trials=trials, as_json=as_json)


def export_runs(
    sweep: str, *, tool: str, place: str, results: Path, trials: Sequence[Trial] | None = None
) -> tuple[int, int]:
    """Exports the records of a sweep; returns how many runs are new or changed, and how many were there already.

    Args:
        sweep, trials: whose records, as in `write_report`.
        tool: `mlflow` or `tensorboard`.
        place: the address of an MLflow server or database, or a folder for TensorBoard.
        results: the folder of records.

    Raises `UserError` for another tool, or a place that cannot be reached or written, and `RecordError` where there
    are no records.
    """
    from bench.report.exports.exporting import export

    return export(sweep, tool=tool, place=place, results=results, trials=trials)
