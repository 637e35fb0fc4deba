"""`extract`: turns videos into frame features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DATA, DataOption


def extract(
    task: Annotated[str, typer.Argument(metavar="TASK", help="ucf101, the task with videos.")] = "ucf101",
    data: DataOption = DATA,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The ResNet-50's weights; else from the model hub.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for a GPU where there is one.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Frames at a time.")] = 50,
) -> None:
    """Turn videos into frame features; a run that was stopped goes on where it was."""
    from bench.tasks import extraction

    count = extraction.extract(task, data=data, weights=weights, device=device, batch_size=batch_size)
    print(f"{task}: features of {count} clips extracted")
