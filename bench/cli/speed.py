"""`speed`: times the cells themselves."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.options import REPORTS, RESULTS, ReportsOption, ResultsOption
from bench.cli.selection import known_device
from bench.cli.start import command_line

# What is begun is ended, and read and reported after it: eight in all.
MINUTES_ON_A_GPU = 7.0


def speed(
    quick: Annotated[bool, typer.Option("--quick", help="Short sequences and fewer passes.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="How long all may take: the least important is cut. [default: 7 on cuda, else none]"),
    ] = None,
    framework: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this framework; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Threads of the frameworks; 0: their own default.")] = 2,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Measure nothing; report what was measured before.")
    ] = False,
    results: ResultsOption = RESULTS,
    reports: ReportsOption = REPORTS,
) -> None:
    """Time the cells by engine and update ratio, against the native layers and the matrix products alone."""
    from rich.console import Console

    from bench.launch.interrupts import requests_as_interrupts
    from bench.report import print_speed, write_speed_report
    from bench.speed.running import Interrupted, run_benchmarks

    if report_only:
        print(f"report: {write_speed_report(results=results, reports=reports)}")
        return
    on = known_device(device)
    if minutes is None and on == "cuda":
        minutes = MINUTES_ON_A_GPU
    interrupted = False
    try:
        with requests_as_interrupts():
            everything_ran = run_benchmarks(
                scale="quick" if quick else "gpu" if on == "cuda" else "full",
                frameworks=framework or [],
                device=on,
                threads=threads,
                results=results,
                budget_seconds=None if minutes is None else 60 * minutes,
            )
    except Interrupted:
        interrupted, everything_ran = True, False
        print("interrupted; what was measured is kept, and reported", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; what an earlier run measured is kept", file=sys.stderr)
        raise typer.Exit(130) from None
    before = results / "speed" / "benchmarks-before.json"
    if before.is_file():
        print(f"{before}: what an earlier run measured, since this one did not come to its end", file=sys.stderr)
    page = write_speed_report(results=results, reports=reports, command=command_line())
    print_speed(results=results, console=Console())
    print(f"\nreport: {page}")
    raise typer.Exit(130 if interrupted else 0 if everything_ran else 1)
