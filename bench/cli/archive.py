"""`archive`: copies what a sweep left to a folder that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_SWEEP, RESULTS, DeviceOption, ResultsOption, SweepArgument, WhereOption
from bench.cli.selection import select

REFERENCE = Path("results/reference")


def archive(
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The results folder that is kept.")] = REFERENCE,
) -> None:
    """Copy a sweep's finished trials to a folder that is kept: parameters of the best seed alone."""
    from bench.records.upkeep.archive import archive as copy

    asked = select(sweep, where=where, device=device)
    done = copy(asked.name, asked.trials, results=results, target=to, listed=asked.ids)
    for refusal in done.refused:
        print(f"not copied: {refusal}")
    print(f"{len(done.copied)} copied to {to}, {len(done.skipped)} there already, {len(done.refused)} refused")
    raise typer.Exit(1 if done.refused else 0)
