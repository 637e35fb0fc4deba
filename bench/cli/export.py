"""`export`: gives a sweep's records to MLflow or to TensorBoard's HParams."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import DEFAULT_SWEEP, RESULTS, DeviceOption, ResultsOption, SweepArgument, WhereOption
from bench.cli.selection import select


def export(
    to: Annotated[
        tuple[str, str],
        typer.Option("--to", metavar="TOOL PLACE", help="mlflow URI, or tensorboard FOLDER.", show_default=False),
    ],
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Give a sweep's records to MLflow or TensorBoard's HParams; what is there already is left alone."""
    from bench.report import export_runs

    tool, place = to
    asked = select(sweep, where=where, device=device)
    new, kept = export_runs(asked.name, tool=tool, place=place, results=results, trials=asked.trials)
    print(f"{place}: {new} runs exported, {kept} there already")
