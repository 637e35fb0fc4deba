"""The single steps as commands: `python -m bench list | run | report | verify | merge | …`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import UserError

app = typer.Typer(
    help="Benchmark and ablation harness for Skip RNN: the single steps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SweepArgument = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name, or a .toml file.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="KEY=VALUE", help="Only trials with this value; may be repeated."),
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu or cuda, for every trial; else as the sweep says.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Trials at a time; the cores are divided among them.")]
ResultsOption = Annotated[Path, typer.Option(metavar="DIR", help="Where records are kept.")]
ReportsOption = Annotated[Path, typer.Option(metavar="DIR", help="Where reports are written.")]
DataOption = Annotated[Path, typer.Option(metavar="DIR", help="Where data sets are kept.")]
TimeoutOption = Annotated[
    float | None, typer.Option(min=1, metavar="SECONDS", help="The longest that one trial may take.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the trials and the estimated time, and stop.")]

RESULTS, REPORTS, DATA = Path("results"), Path("reports"), Path("data")


def load_sweep(name: str, *, where: list[str] | None, device: str | None) -> Any:
    """The sweep, narrowed and moved to a device. Raises `SweepError`."""
    from bench.plan import sweep as sweeps

    sweep = sweeps.load(name)
    if where:
        sweep = sweep.narrowed(where)
    return sweep if device is None else sweep.on(check_device(device))


def check_device(device: str) -> str:
    """The device. Raises `DeviceError` where it is not one."""
    from bench.errors import DeviceError
    from impls.contract import DEVICES
    from impls.errors import nearest

    if device not in DEVICES:
        raise DeviceError(f"--device {device}: not one of {', '.join(DEVICES)}{nearest(device, DEVICES)}")
    return device


def execute(
    name: str,
    *,
    where: list[str] | None,
    device: str | None,
    workers: int,
    results: Path,
    data: Path,
    timeout: float | None,
    dry_run: bool,
) -> tuple[Any, int]:
    """Runs a sweep, or prints its plan; returns it with the exit code that its records call for."""
    from rich.console import Console

    from bench.launch.running import plan, run_sweep
    from bench.records.store import Store

    console = Console()
    sweep = load_sweep(name, where=where, device=device)
    store = Store(results)
    if dry_run:
        plan(sweep, store=store, data=data, workers=workers, console=console)
        return sweep, 0
    try:
        counts = run_sweep(
            sweep,
            store=store,
            data=data,
            workers=workers,
            console=console,
            command=command_line(),
            timeout_seconds=timeout,
        )
    except KeyboardInterrupt:
        print("interrupted; finished trials are kept, the same command runs the rest", file=sys.stderr)
        raise typer.Exit(130) from None
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return sweep, 0 if set(counts) == {"ok"} else 1


def publish(sweep: Any, *, results: Path, reports: Path, command: str) -> None:
    """Writes a report, prints its table and the path of its page."""
    from rich.console import Console

    from bench.report import print_results, write_report

    page = write_report(
        sweep.name,
        results=results,
        reports=reports,
        trials=sweep.trials,
        command=command,
        description=sweep.description,
    )
    print_results(sweep.name, results=results, console=Console(), trials=sweep.trials)
    print(f"\nreport: {page}")


@app.command("list")
def list_command() -> None:
    """Show the sweeps, tasks and cells."""
    from rich.console import Console
    from rich.table import Table

    from bench.plan import sweep as sweeps
    from bench.tasks import TASKS
    from impls.contract import ENGINES, FRAMEWORKS
    from impls.kinds import cells

    table = Table(box=None, pad_edge=False, show_header=False)
    for name in sweeps.available():
        sweep = sweeps.load(name)
        table.add_row("sweep", name, f"{len(sweep.trials)} trials", sweep.description)
    for name, task in TASKS.items():
        table.add_row("task", name, task.quality_metric, task.summary)
    for cell in cells():
        table.add_row("cell", cell, "", "learns to skip state updates" if "skip" in cell else "plain")
    for framework in FRAMEWORKS:
        table.add_row("framework", framework, "", f"engines: {', '.join(ENGINES)}")
    Console().print(table)


@app.command("run")
def run_command(
    sweep: SweepArgument = "quick",
    where: WhereOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = 1,
    results: ResultsOption = RESULTS,
    data: DataOption = DATA,
    timeout: TimeoutOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run the trials of a sweep that are missing, and record them."""
    _, code = execute(
        sweep,
        where=where,
        device=device,
        workers=workers,
        results=results,
        data=data,
        timeout=timeout,
        dry_run=dry_run,
    )
    raise typer.Exit(code)


@app.command("report")
def report_command(
    sweep: SweepArgument = "quick", results: ResultsOption = RESULTS, reports: ReportsOption = REPORTS
) -> None:
    """Write the report of a sweep from its records."""
    publish(load_sweep(sweep, where=None, device=None), results=results, reports=reports, command=command_line())


@app.command("compare")
def compare_command(sweep: SweepArgument = "quick", results: ResultsOption = RESULTS) -> None:
    """Compare the frameworks, pair by pair."""
    from rich.console import Console

    from bench.report import print_comparison

    loaded = load_sweep(sweep, where=None, device=None)
    print_comparison(loaded.name, results=results, console=Console(), trials=loaded.trials)


@app.command("speed")
def speed_command(
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
            device=check_device(device),
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


@app.command("doctor")
def doctor_command(data: DataOption = DATA) -> None:
    """Show versions, devices, and which data sets are present."""
    from bench.cli.doctor import examine

    raise typer.Exit(examine(data=data))


@app.command("extract")
def extract_command(
    task: Annotated[str, typer.Argument(metavar="TASK", help="ucf101, the task with videos.")] = "ucf101",
    data: DataOption = DATA,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The ResNet-50's weights; else from the model hub.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for a GPU where there is one.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Frames at a time.")] = 50,
) -> None:
    """Turn videos into frame features; a run that was stopped goes on where it was."""
    from bench.tasks.extraction import extract

    count = extract(task, data=data, weights=weights, device=device, batch_size=batch_size)
    print(f"{task}: features of {count} clips extracted")


@app.command("verify")
def verify_command(results: ResultsOption = RESULTS) -> None:
    """Check every record, file, lease and list; the exit code is 1 where anything is off."""
    from bench.records.store import Store
    from bench.records.verify import findings

    found = findings(results)
    for finding in found:
        print(finding)
    print(f"{results}: {len(Store(results).trial_ids())} trials, {len(found) or 'nothing'} off")
    raise typer.Exit(1 if found else 0)


@app.command("merge")
def merge_command(
    results: Annotated[Path, typer.Argument(metavar="A", help="The results folder that takes in.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="The results folder that is taken in; it stays.")],
) -> None:
    """Join results folder B into A."""
    from bench.records.merge import merge

    tell_merged(merge(results, other))


@app.command("adopt")
def adopt_command(results: ResultsOption = RESULTS) -> None:
    """Take in the trials of an older version, which stand in their sweep's folder."""
    from bench.records.adopt import adopt

    tell_merged(adopt(results))


def tell_merged(merged: Any) -> None:
    """Prints what became of the trials; the exit code is 1 where one was refused."""
    for refusal in merged.refused:
        print(f"not taken in: {refusal}")
    print(f"{len(merged.copied)} taken in, {len(merged.skipped)} there already, {len(merged.refused)} refused")
    raise typer.Exit(1 if merged.refused else 0)


def command_line() -> str:
    """The command as typed, for a report."""
    name = Path(sys.argv[0])
    program = "python -m bench" if name.name == "__main__.py" else f"python {name.name}"
    return " ".join([program, *sys.argv[1:]])


def guarded(command: Callable[[], None]) -> None:
    """Runs a command; a user's mistake becomes one line and exit code 2."""
    try:
        command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """The entry point of `python -m bench`."""
    guarded(lambda: app(standalone_mode=True))


if __name__ == "__main__":
    main()
