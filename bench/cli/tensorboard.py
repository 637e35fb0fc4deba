"""`tensorboard`: shows the trials of a sweep in TensorBoard, under names that people read."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_SWEEP, RESULTS, DeviceOption, ResultsOption, SweepArgument, WhereOption
from bench.cli.selection import select

if TYPE_CHECKING:
    from bench.plan.sweep import Sweep
    from bench.records.store import Store


def tensorboard(
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens, on this machine alone.")] = 6006,
) -> None:
    """Show a sweep's training curves in TensorBoard, also while it runs, until Ctrl-C."""
    from bench.errors import UserError
    from bench.records.store import Store

    asked = select(sweep, where=where, device=device)
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError("the package 'tensorboard' is not installed: run `make install` again")
    with tempfile.TemporaryDirectory(prefix="skiprnn-bench-") as folder:
        if not link_runs(asked, store=Store(results), folder=Path(folder)):
            raise UserError(f"no trial of sweep {asked.name!r} has events in {results}; run it first")
        words = ["--logdir", folder, "--port", str(port)]
        try:
            done = subprocess.run([sys.executable, "-m", "tensorboard.main", *words], check=False)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
    raise typer.Exit(done.returncode)


def link_runs(sweep: Sweep, *, store: Store, folder: Path) -> int:
    """Links the events of every trial that has some into `folder`, as `<label> <id>`; returns how many there are."""
    runs = 0
    for trial in sweep.trials:
        events = store.folder_of(trial.id) / "tensorboard"
        if events.is_dir():
            (folder / f"{trial.label.replace('/', '_')} {trial.id[:8]}").symlink_to(events.resolve())
            runs += 1
    return runs
