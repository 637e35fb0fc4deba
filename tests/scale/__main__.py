"""`python -m tests.scale`: what sweeps of many trials cost the parent, without training. docs/scale.md has a table."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.scale.measured import measure


def main(
    trials: Annotated[list[int] | None, typer.Option(help="How many; repeat it for more sizes.", min=1)] = None,
    report: Annotated[bool, typer.Option(help="Whether to write the report too: minutes for thousands.")] = True,
    folder: Annotated[Path | None, typer.Option(help="Where the results go; left out, to a temporary folder.")] = None,
) -> None:
    """Prints processor seconds and memory, each size in a process of its own."""
    sizes = trials or [1000, 3000, 10_000]
    if len(sizes) > 1:
        more = [f"--{'' if report else 'no-'}report", *([] if folder is None else ["--folder", str(folder)])]
        for size in sizes:
            subprocess.run([sys.executable, "-m", "tests.scale", "--trials", str(size), *more], check=True)
        return
    with tempfile.TemporaryDirectory(dir=folder) as place:
        measured = measure(sizes[0], Path(place), report=report)
    typer.echo(f"{measured.trials} trials, load of the machine {os.getloadavg()[0]:.1f}")
    for what, seconds in measured.seconds.items():
        each = 1e3 * seconds / measured.trials
        typer.echo(f"  {what:20} {seconds:8.2f} s, {each:7.3f} ms a trial, at most {measured.memory[what]:5.0f} MiB")


if __name__ == "__main__":
    typer.run(main)
