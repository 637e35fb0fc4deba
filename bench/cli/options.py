"""The options of the commands, each told once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RESULTS, REPORTS, DATA = Path("results"), Path("reports"), Path("data")
DEFAULT_SWEEP = "quick"

SweepArgument = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep's name, or a .toml file.")]
# None where it was left out, since `--trial` then looks in every sweep.
RunSweepArgument = Annotated[
    str | None,
    typer.Argument(metavar="SWEEP", help="A sweep's name, or a .toml file.", show_default=DEFAULT_SWEEP),
]
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
StallOption = Annotated[
    float | None, typer.Option(min=1, metavar="SECONDS", help="The longest that one trial may show no sign of life.")
]
RetriesOption = Annotated[
    int, typer.Option(min=0, help="How often a trial is tried again that was killed, out of memory or on a lost node.")
]
GpusOption = Annotated[
    str | None,
    typer.Option("--gpus", metavar="0,1", help="GPUs of this machine; each trial sees one of them alone."),
]
TrialsPerGpuOption = Annotated[int, typer.Option(min=1, help="Trials at a time on each of --gpus.")]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Only the I-th of N stable shares of the trials; no report."),
]
ExecutorOption = Annotated[
    str, typer.Option("--executor", help="Where trials run: local (this machine), ray or slurm (clusters).")
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="Of the Ray cluster; else RAY_ADDRESS, or the one here."),
]
CpusPerTrialOption = Annotated[int, typer.Option(min=1, help="With ray: cores of a trial, and its threads.")]
GpusPerTrialOption = Annotated[
    float, typer.Option(min=0.01, help="With ray: GPUs of a trial on cuda; 0.5 has two share one.")
]
MemoryPerTrialOption = Annotated[
    float, typer.Option(min=0, metavar="GIB", help="With ray: memory that is set aside for a trial; 0 counts none.")
]
ShardsOption = Annotated[
    int, typer.Option(min=1, help="With slurm: tasks of the array job, each of which runs one shard of the trials.")
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="With slurm: an option of sbatch; may be repeated."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the trials, the estimated time and what is missing here, and stop.")
]
ReportOption = Annotated[bool, typer.Option("--report/--no-report", help="Whether to write the report at the end.")]
TrialOption = Annotated[
    str | None,
    typer.Option("--trial", metavar="ID", help="One trial of any sweep or record, also if it was run before."),
]
