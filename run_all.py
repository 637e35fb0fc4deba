"""The full sweep, start to finish: run what is missing, record it, report it."""

from __future__ import annotations

import typer

from bench.cli.commands import (
    DATA,
    REPORTS,
    RESULTS,
    DataOption,
    DeviceOption,
    DryRunOption,
    ReportsOption,
    ResultsOption,
    SweepArgument,
    TimeoutOption,
    WhereOption,
    WorkersOption,
    command_line,
    execute,
    guarded,
    publish,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def run_all(
    sweep: SweepArgument = "quick",
    dry_run: DryRunOption = False,
    where: WhereOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = 1,
    results: ResultsOption = RESULTS,
    reports: ReportsOption = REPORTS,
    data: DataOption = DATA,
    timeout: TimeoutOption = None,
) -> None:
    """Run a sweep and write its report.

    Trials that are already recorded are not run again. The exit code is 0 where every trial ended well, 1 where one
    failed, diverged or timed out, 2 where something was refused before anything ran.
    """
    ran, code = execute(
        sweep,
        where=where,
        device=device,
        workers=workers,
        results=results,
        data=data,
        timeout=timeout,
        dry_run=dry_run,
    )
    if not dry_run:
        publish(ran, results=results, reports=reports, command=command_line())
    raise typer.Exit(code)


if __name__ == "__main__":
    guarded(app)
