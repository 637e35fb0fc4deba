"""`report`: writes the report of a sweep from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import (
    DEFAULT_SWEEP,
    REPORTS,
    RESULTS,
    DeviceOption,
    ReportsOption,
    ResultsOption,
    SweepArgument,
    WhereOption,
)
from bench.cli.selection import select
from bench.cli.start import command_line, printable

if TYPE_CHECKING:
    from bench.plan.sweep import Sweep


def report(
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
    reports: ReportsOption = REPORTS,
) -> None:
    """Write the report of a sweep from its records."""
    publish(select(sweep, where=where, device=device), results=results, reports=reports)


def publish(sweep: Sweep, *, results: Path, reports: Path) -> None:
    """Writes the report of a sweep's trials, prints its table, what was left out, and the path of its page.

    Raises `DiskError` where the disk takes no report; the one before it stays whole.
    """
    from rich.console import Console

    from bench.machine.disk import disk_explained
    from bench.report import print_results, write_report

    with disk_explained(reports / sweep.name):
        page = write_report(
            sweep.name,
            results=results,
            reports=reports,
            trials=sweep.trials,
            command=command_line(),
            description=sweep.description,
        )
    print_results(sweep.name, results=results, console=Console(), trials=sweep.trials)
    for problem in files_left_out(sweep, results=results):
        print(f"left out: {printable(problem)}")
    print(f"\nreport: {page}")


def files_left_out(sweep: Sweep, *, results: Path) -> list[str]:
    """What is wrong with the files that a report reads beside the records: a line for each that it leaves out."""
    from bench.errors import SpeedError
    from bench.records.files import disagreement
    from bench.records.store import Store
    from bench.report.frames import check_examples
    from bench.report.speed.times import benchmarks_beside

    store, found = Store(results), []
    for trial_id, record in store.survey(trial.id for trial in sweep.trials).records.items():
        folder = store.folder_of(trial_id)
        found += [disagreement(folder / "curve.csv", record.files), check_examples(folder, record.files)]
    try:
        benchmarks_beside(results)
    except SpeedError as error:
        found.append(str(error))
    return [problem for problem in found if problem]
