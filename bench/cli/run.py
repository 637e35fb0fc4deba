"""`run`, which is also `run_all.py`: runs the trials that are missing, and reports them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.cli.options import (
    DATA,
    DEFAULT_SWEEP,
    REPORTS,
    RESULTS,
    DataOption,
    DeviceOption,
    DryRunOption,
    GpusOption,
    ReportOption,
    ReportsOption,
    ResultsOption,
    RetriesOption,
    RunSweepArgument,
    ShardOption,
    StallOption,
    TimeoutOption,
    TrialOption,
    TrialsPerGpuOption,
    WhereOption,
    WorkersOption,
)
from bench.cli.report import publish
from bench.cli.selection import select, select_trial
from bench.cli.start import command_line

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plan.sweep import Sweep
    from bench.records.store import Store

# Where trials that are run again leave their records, so that the first ones stay.
AGAIN = "again"


def run(
    sweep: RunSweepArgument = None,
    dry_run: DryRunOption = False,
    where: WhereOption = None,
    trial: TrialOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = 1,
    gpus: GpusOption = None,
    trials_per_gpu: TrialsPerGpuOption = 1,
    shard: ShardOption = None,
    results: ResultsOption = RESULTS,
    reports: ReportsOption = REPORTS,
    data: DataOption = DATA,
    timeout: TimeoutOption = None,
    stall: StallOption = None,
    retries: RetriesOption = 2,
    report: ReportOption = True,
) -> None:
    """Run a sweep and write its report.

    Trials that are already recorded are not run again. The exit code is 0 where every trial ended well, 1 where one
    failed, diverged or timed out, 2 where something was refused before anything ran or the disk took no more.
    """
    from rich.console import Console

    from bench.errors import UserError
    from bench.launch.display import where_time_went
    from bench.launch.local import LocalExecutor
    from bench.launch.running import run_sweep
    from bench.machine.gpus import parse_gpus
    from bench.plan.shard import Shard
    from bench.records.store import Store

    console = Console()
    if trial is None:
        asked = select(sweep or DEFAULT_SWEEP, where=where, device=device)
        store = Store(results)
    else:
        if where or device or shard:
            raise UserError("--trial names one trial, with its device: leave --where, --device and --shard out")
        asked = select_trial(trial, sweep=sweep, results=results)
        store = _store_of_one(asked, results=results, clear=not dry_run)
    share = None if shard is None else Shard.parsed(shard)
    if gpus is not None and workers > 1:
        raise UserError("--workers with --gpus: so many trials run as there are GPUs, times --trials-per-gpu")
    executor = LocalExecutor(
        workers=workers,
        gpus=() if gpus is None else parse_gpus(gpus),
        trials_per_gpu=trials_per_gpu,
        data=data,
        timeout_seconds=timeout,
        stall_seconds=stall,
    )
    at_a_time = len(executor.slots)
    if dry_run:
        of_share = asked if share is None else replace(asked, trials=tuple(filter(share.holds, asked.trials)))
        _plan(of_share, store=store, data=data, workers=at_a_time, console=console)
        return

    missing = store.missing([one for one in asked.trials if share is None or share.holds(one)])
    try:
        counts = run_sweep(
            asked,
            store=store,
            data=data,
            executor=executor,
            console=console,
            command=command_line(),
            retries=retries,
            shard=share,
        )
    except KeyboardInterrupt:
        print("interrupted; finished trials are kept, the same command runs the rest", file=sys.stderr)
        raise typer.Exit(130) from None
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if trial is not None:
        _show_one(asked, store=store, results=results, console=console)
    else:
        ran = [record for one in missing if (record := store.read(one.id)) is not None]
        if spent := where_time_went(ran, workers=at_a_time):
            console.print(spent, markup=False, highlight=False, soft_wrap=True)
        if report and share is None:
            publish(asked, results=results, reports=reports)
    raise typer.Exit(0 if set(counts) <= {"ok"} else 1)


def _plan(sweep: Sweep, *, store: Store, data: Path, workers: int, console: Console) -> None:
    """Prints the trials, the estimated time, and what this machine lacks for them."""
    from bench.errors import DeviceError
    from bench.launch.running import plan
    from bench.machine import devices

    plan(sweep, store=store, data=data, workers=workers, console=console)
    tasks = [trial.build_task(data=data) for trial in sweep.trials]
    lacking = list(dict.fromkeys(problem for task in tasks if (problem := task.data_problem())))
    try:
        devices.check((trial.framework, trial.device) for trial in sweep.trials)
    except DeviceError as error:
        lacking.append(str(error))
    for problem in lacking:
        console.print(f"missing here: {problem}", markup=False, highlight=False, soft_wrap=True)


def _store_of_one(sweep: Sweep, *, results: Path, clear: bool) -> Store:
    """Where a single trial goes: beside the others, or apart where it has a record, which stays as it is."""
    from bench.records.store import Store

    store = Store(results)
    if store.missing(sweep.trials):
        return store
    apart = Store(results / AGAIN)
    if clear:
        for trial in sweep.trials:
            shutil.rmtree(apart.folder_of(trial.id), ignore_errors=True)
    return apart


def _show_one(sweep: Sweep, *, store: Store, results: Path, console: Console) -> None:
    """Prints the headline numbers of the one trial; beside them those of its first record, where it was run again."""
    from bench.launch.display import headline
    from bench.records.store import Store

    (trial,) = sweep.trials
    record = store.read(trial.id)
    if record is None:
        return
    first = None if store.results == results else Store(results).read(trial.id)
    console.print(headline(record, first=first))
    path = store.folder_of(trial.id) / "record.json"
    console.print(f"record: {path}", markup=False, highlight=False, soft_wrap=True)
