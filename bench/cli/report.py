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
from bench.cli.start import command_line

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
    """Writes the report of a sweep's trials, prints its table and the path of its page."""
    from rich.console import Console

    from bench.report import print_results, write_report

    page = write_report(
        sweep.name,
        results=results,
        reports=reports,
        trials=sweep.trials,
        command=command_line(),
        description=sweep.description,
    )
    print_results(sweep.name, results=results, console=Console(), trials=sweep.trials)
    print(f"\nreport: {page}")
