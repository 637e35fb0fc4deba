"""`run`, which is also `run_all.py`: runs the trials that are missing, and reports them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.executors import array_job, check_options, make_executor
from bench.cli.options import (
    DATA,
    DEFAULT_SWEEP,
    REPORTS,
    RESULTS,
    AddressOption,
    CpusPerTrialOption,
    DataOption,
    DeviceOption,
    DryRunOption,
    ExecutorOption,
    GpusOption,
    GpusPerTrialOption,
    MemoryPerTrialOption,
    ReportOption,
    ReportsOption,
    ResultsOption,
    RetriesOption,
    RunSweepArgument,
    ShardOption,
    ShardsOption,
    SlurmOption,
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
    from collections.abc import Sequence

    from rich.console import Console

    from bench.plan.sweep import Sweep
    from bench.plan.trial import Trial
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
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    cpus_per_trial: CpusPerTrialOption = 1,
    gpus_per_trial: GpusPerTrialOption = 1.0,
    memory_per_trial: MemoryPerTrialOption = 0.0,
    shards: ShardsOption = 1,
    slurm: SlurmOption = None,
) -> None:
    """Run a sweep and write its report.

    Trials that are already recorded are not run again. The exit code is 0 where every trial ended well, 1 where one
    failed, diverged or timed out, 2 where something was refused before anything ran or the disk took no more. With
    --executor slurm an array job is submitted, and 0 is that it was.
    """
    from rich.console import Console

    from bench.errors import UserError
    from bench.launch.display import where_time_went
    from bench.launch.running import run_sweep
    from bench.plan.shard import Shard
    from bench.records.store import Store

    of_executor: dict[str, Any] = {
        "--workers": workers,
        "--gpus": gpus,
        "--trials-per-gpu": trials_per_gpu,
        "--address": address,
        "--cpus-per-trial": cpus_per_trial,
        "--gpus-per-trial": gpus_per_trial,
        "--memory-per-trial": memory_per_trial,
        "--shards": shards,
        "--slurm": slurm,
    }
    check_options(executor, of_executor)
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
    of_share = asked if share is None else replace(asked, trials=tuple(filter(share.holds, asked.trials)))
    missing = store.missing(of_share.trials)
    if executor == "slurm" and not dry_run:
        if trial is not None or shard is not None:
            raise UserError("--executor slurm deals the trials out itself: leave --trial and --shard out")
        also: dict[str, Any] = {"--device": device, "--timeout": timeout, "--stall": stall, "--retries": retries}
        also |= {name: of_executor[name] for name in ("--workers", "--gpus", "--trials-per-gpu")}
        words = array_job(sweep or DEFAULT_SWEEP, where=where or (), also=also, results=results, data=data)
        _submit(
            asked,
            sweep or DEFAULT_SWEEP,
            missing,
            words=words,
            shards=shards,
            results=results,
            options=slurm or (),
            console=console,
        )
        return
    needs_cluster = executor == "ray" and bool(missing)
    runs = make_executor(
        "ray" if needs_cluster else "local",
        of_executor,
        devices=sorted({one.device for one in of_share.trials}),
        data=data,
        timeout=timeout,
        stall=stall,
    )
    at_a_time = len(runs.slots)
    here = executor == "local"
    if dry_run:
        _plan(of_share, store=store, data=data, workers=at_a_time, console=console, here=here)
        return

    try:
        counts = run_sweep(
            asked,
            store=store,
            data=data,
            executor=runs,
            console=console,
            command=command_line(),
            retries=retries,
            shard=share,
            checks=here,
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


def _submit(
    sweep: Sweep,
    typed: str,
    missing: Sequence[Trial],
    *,
    words: Sequence[str],
    shards: int,
    results: Path,
    options: Sequence[str],
    console: Console,
) -> None:
    """Submits an array job of the shards that have trials to run, and says how to follow it."""
    from bench.launch.slurm import parsed_options, submit
    from bench.plan.shard import Shard

    parsed = parsed_options(options)
    every = [Shard(number=number, of=shards) for number in range(1, shards + 1)]
    due = [shard for shard in every if any(map(shard.holds, missing))]
    if not due:
        console.print(f"sweep {sweep.name}: all {len(sweep.trials)} trials are done")
        return
    commands = [[*words, "--shard", f"{shard.number}/{shard.of}"] for shard in due]
    jobs = submit(commands, results=results, name=f"skiprnn-{sweep.name}", options=parsed)
    plural = "" if len(jobs) == 1 else "s"
    console.print(
        f"sweep {sweep.name}: submitted {len(missing)} of {len(sweep.trials)} trials as {len(jobs)} task{plural}, "
        f"{jobs[0]}{f' to {jobs[-1]}' if plural else ''}; what they print is in {results / 'slurm'}\n"
        f"follow them with: python -m bench watch {typed}; report them with: python -m bench report {typed}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _plan(sweep: Sweep, *, store: Store, data: Path, workers: int, console: Console, here: bool) -> None:
    """Prints the trials, the estimated time, and what this machine lacks for them, if they are to run here."""
    from bench.errors import DeviceError
    from bench.launch.running import plan
    from bench.machine import devices

    plan(sweep, store=store, data=data, workers=workers, console=console)
    if not here:
        return
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
