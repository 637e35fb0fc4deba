"""`run`, which is also `run_all.py`: runs the trials that are missing, and reports them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import typer

from bench.cli.array_job import submit_array_job, words_of_a_task
from bench.cli.dry_run import print_plan
from bench.cli.executors import OF_ONE, check_options, make_executor
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
from bench.cli.publishing import publish
from bench.cli.selection import select, select_trial
from bench.cli.single_trial import print_one, store_of_one
from bench.cli.start import command_line


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
    from bench.launch.display.words import where_time_went
    from bench.launch.running import run_sweep
    from bench.machine.disk import check_folder
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
    check_folder(results)
    console = Console()
    if trial is None:
        asked = select(sweep or DEFAULT_SWEEP, where=where, device=device)
        store = Store(results)
    else:
        if where or device or shard:
            raise UserError("--trial names one trial, with its device: leave --where, --device and --shard out")
        asked = select_trial(trial, sweep=sweep, results=results)
        store = store_of_one(asked, results=results)
    anew = store.results != results
    share = None if shard is None else Shard.parsed(shard)
    of_share = asked if share is None else replace(asked, trials=tuple(filter(share.holds, asked.trials)))
    missing = list(of_share.trials) if anew else store.missing(of_share.trials)
    if executor == "slurm" and not dry_run:
        if trial is not None or shard is not None:
            raise UserError("--executor slurm deals the trials out itself: leave --trial and --shard out")
        words = words_of_a_task(
            sweep or DEFAULT_SWEEP,
            where=where or (),
            also={"--device": device, "--timeout": timeout, "--stall": stall, "--retries": retries}
            | {name: of_executor[name] for name in OF_ONE["local"]},
            results=results,
            data=data,
        )
        submit_array_job(
            asked,
            missing,
            typed=sweep or DEFAULT_SWEEP,
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
    cores = len(os.sched_getaffinity(0))
    if here and workers > cores:
        print(
            f"--workers {workers}: more than the {cores} core{'s' if cores > 1 else ''} that this process may use; "
            "trials share them, and their times are longer",
            file=sys.stderr,
        )
    if dry_run:
        print_plan(of_share, store=store, data=data, slots=runs.slots, console=console, here=here)
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
            anew=anew,
        )
    except KeyboardInterrupt:
        print("interrupted; finished trials are kept, the same command runs the rest", file=sys.stderr)
        raise typer.Exit(130) from None
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if trial is not None:
        print_one(asked, store=store, results=results, console=console)
    else:
        ran = [record for one in missing if (record := store.read(one.id)) is not None]
        if spent := where_time_went(ran, workers=at_a_time):
            console.print(spent, markup=False, highlight=False, soft_wrap=True)
        if report and share is None:
            publish(asked, command=command_line(), results=results, reports=reports)
    raise typer.Exit(0 if set(counts) <= {"ok"} else 1)
