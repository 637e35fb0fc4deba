"""`merge` and `adopt`: take the trials of other results folders in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import RESULTS, ResultsOption

if TYPE_CHECKING:
    from bench.records.upkeep.merge import Merged


def merge(
    results: Annotated[Path, typer.Argument(metavar="A", help="The results folder that takes in.")],
    others: Annotated[list[Path], typer.Argument(metavar="B...", help="Results folders that are taken in; they stay.")],
) -> None:
    """Join results folders into the first."""
    from bench.records.upkeep.merge import Merged
    from bench.records.upkeep.merge import merge as join

    merged = Merged()
    for other in others:
        merged.add(join(results, other))
    _tell(merged)


def adopt(results: ResultsOption = RESULTS) -> None:
    """Take in the trials of an older version, which stand in their sweep's folder."""
    from bench.records.upkeep.adopt import adopt as take_in

    _tell(take_in(results))


def _tell(merged: Merged) -> None:
    """Prints what became of the trials, each counted once; the exit code is 1 where one was refused."""
    for refusal in merged.refused:
        print(f"not taken in: {refusal}")
    taken = set(merged.copied)  # of several folders a trial may come by halves
    already = set(merged.skipped) - taken
    print(f"{len(taken)} taken in, {len(already)} there already, {len(merged.refused)} refused")
    raise typer.Exit(1 if merged.refused else 0)
