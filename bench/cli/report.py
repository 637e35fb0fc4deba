"""`report`: writes the reports of sweeps from their records."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    DEFAULT_SWEEP,
    REPORTS,
    RESULTS,
    DeviceOption,
    ReportsOption,
    ResultsOption,
    WhereOption,
)
from bench.cli.publishing import Asked, publish, publish_side_by_side
from bench.cli.selection import select
from bench.cli.start import command_line
from bench.errors import SweepError

SweepsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SWEEP]...", help="Sweeps' names, or .toml files.", show_default=DEFAULT_SWEEP),
]


def report(
    sweeps: SweepsArgument = None,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
    reports: ReportsOption = REPORTS,
    workers: Annotated[int, typer.Option(min=1, help="Reports at a time, of several sweeps.")] = 1,
) -> None:
    """Write the reports of sweeps from their records."""
    names = sweeps or [DEFAULT_SWEEP]
    asked = [select(name, where=where, device=device) for name in names]
    if len(asked) == 1:
        publish(asked[0], command=command_line(), results=results, reports=reports)
        return
    for sweep in asked:
        if [one.name for one in asked].count(sweep.name) > 1:
            raise SweepError(f"{sweep.name}: asked for twice, and its reports would be one folder; name it once")
    options = _options(where, device, results, reports)
    publish_side_by_side(
        [
            Asked(sweep=sweep, command=shlex.join(["python", "-m", "bench", "report", name, *options]))
            for name, sweep in zip(names, asked, strict=True)
        ],
        results=results,
        reports=reports,
        workers=workers,
    )


def _options(where: Sequence[str] | None, device: str | None, results: Path, reports: Path) -> list[str]:
    """The options of a command that writes one of these reports alone."""
    options = [word for condition in where or () for word in ("--where", condition)]
    options += [] if device is None else ["--device", device]
    options += [] if results == RESULTS else ["--results", str(results)]
    options += [] if reports == REPORTS else ["--reports", str(reports)]
    return options
