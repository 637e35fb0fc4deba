"""`compare`: the frameworks, pair by pair."""

from __future__ import annotations

from bench.cli.options import DEFAULT_SWEEP, RESULTS, DeviceOption, ResultsOption, SweepArgument, WhereOption
from bench.cli.selection import select


def compare(
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Compare the frameworks, pair by pair."""
    from rich.console import Console

    from bench.report import print_comparison

    asked = select(sweep, where=where, device=device)
    print_comparison(asked.name, results=results, console=Console(), trials=asked.trials)
