"""`claims`: the claims of the paper and of the project, judged on a sweep's records."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import DEFAULT_SWEEP, RESULTS, DeviceOption, ResultsOption, SweepArgument, WhereOption
from bench.cli.selection import select


def claims(
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every finding.")] = False,
) -> None:
    """Judge the claims of the paper and of the project; exit code 1 where one is not reproduced."""
    from rich.console import Console

    from bench.report import print_claims

    asked = select(sweep, where=where, device=device)
    upheld = print_claims(asked.name, results=results, console=Console(), trials=asked.trials, as_json=as_json)
    raise typer.Exit(0 if upheld else 1)
