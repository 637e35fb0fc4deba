"""`speed`: times the cells themselves."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.options import REPORTS, RESULTS, ReportsOption, ResultsOption
from bench.cli.selection import known_device
from bench.cli.start import command_line


def speed(
    quick: Annotated[bool, typer.Option("--quick", help="Short sequences and fewer passes.")] = False,
    framework: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this framework; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Threads of the frameworks; 0: their own default.")] = 2,
    results: ResultsOption = RESULTS,
    reports: ReportsOption = REPORTS,
) -> None:
    """Time the cells by engine and update ratio, against the native layers and the matrix products alone."""
    from rich.console import Console

    from bench.report import print_speed, write_speed_report
    from bench.speed.running import run_benchmarks

    try:
        everything_ran = run_benchmarks(
            scale="quick" if quick else "full",
            frameworks=framework or [],
            device=known_device(device),
            threads=threads,
            results=results,
        )
    except KeyboardInterrupt:
        print("interrupted; what an earlier run measured is kept", file=sys.stderr)
        raise typer.Exit(130) from None
    page = write_speed_report(results=results, reports=reports, command=command_line())
    print_speed(results=results, console=Console())
    print(f"\nreport: {page}")
    raise typer.Exit(0 if everything_ran else 1)
