"""`run --dry-run`: what would run, how long it may take, and what is missing for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bench.launch.executor import Slot
    from bench.plan.sweep import Sweep
    from bench.records.store import Store


def print_plan(sweep: Sweep, *, store: Store, data: Path, slots: Sequence[Slot], console: Console, here: bool) -> None:
    """Prints the trials and the estimated time; if they are to run here, what this machine lacks or would download."""
    from bench.errors import DeviceError
    from bench.launch.executor import gpus_of
    from bench.launch.running import plan
    from bench.machine import devices

    plan(sweep, store=store, data=data, workers=len(slots), console=console)
    if not here:
        return
    tasks = [trial.build_task(data=data) for trial in sweep.trials]
    lacking = list(dict.fromkeys(problem for task in tasks if (problem := task.data_problem())))
    try:
        devices.check(((trial.framework, trial.device) for trial in sweep.trials), gpus=gpus_of(slots))
    except DeviceError as error:
        lacking.append(str(error))
    lines = [f"missing here: {problem}" for problem in lacking]
    downloads = [task.download_told() for task in tasks if task.downloads()]
    lines += [f"downloaded by the run: {told}" for told in dict.fromkeys(downloads)]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
