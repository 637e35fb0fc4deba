"""Runs a sweep: checks everything first, then runs what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.launch.display import duration, make_display
from bench.launch.estimate import estimates
from bench.launch.local import LocalExecutor
from bench.launch.preparation import prepare_data
from bench.launch.scheduler import run_trials
from bench.machine import devices
from bench.plan.sweep import Sweep
from bench.records.listing import Listing, write_listing
from bench.records.store import Store, Survey


def plan(sweep: Sweep, *, store: Store, data: Path, workers: int, console: Console) -> None:
    """Prints the trials and the estimated time."""
    found = store.survey(trial.id for trial in sweep.trials)
    missing = {trial.id for trial in found.to_run(sweep.trials)}
    seconds = estimates(sweep.trials, store=store, data=data)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("trial", "", "state", "estimate"):
        table.add_column(column, justify="right" if column == "estimate" else "left", no_wrap=True)
    for trial in sweep.trials:
        state = "to run" if trial.id in missing else "left alone" if trial.id in found.left_alone else "done"
        guess = seconds[trial.id]
        table.add_row(trial.id, trial.label, state, "needs its data" if guess is None else duration(guess))
    # Trials keep their whole line, whatever the terminal's width.
    Console(width=max(console.width, 130), file=console.file).print(table)
    _name_problems(found, console=console)
    known = [guess for trial_id in missing if (guess := seconds[trial_id]) is not None]
    with_workers = f"with {workers} worker{'s' if workers > 1 else ''}"
    unknown = f", besides {len(missing) - len(known)} whose data are not here yet" if len(known) < len(missing) else ""
    console.print(
        f"{_trials(len(sweep.trials))}, {len(missing)} to run, "
        f"about {duration(sum(known) / workers)} {with_workers}{unknown} (an estimate)",
        highlight=False,
        soft_wrap=True,
    )


def run_sweep(
    sweep: Sweep,
    *,
    store: Store,
    data: Path,
    workers: int,
    console: Console,
    command: str = "",
    timeout_seconds: float | None = None,
    stall_seconds: float | None = None,
) -> Counter[str]:
    """Runs the trials that are missing; returns how many of the sweep's trials stand at each status.

    Damaged records are set aside and their trials run again; those of a later version are left alone and count as
    `unreadable`.

    Raises `DeviceError` or `DataError` before anything runs where a framework, device or data set is missing, and
    `DiskError` where the disk takes no more: what is finished is kept, and the same again goes on.
    """
    listed = tuple(trial.id for trial in sweep.trials)
    found = store.survey(listed)
    missing = found.to_run(sweep.trials)
    if missing:
        devices.check((trial.framework, trial.device) for trial in missing)
        prepare_data(missing, data=data)
    write_listing(store.results, Listing(sweep=sweep.name, trials=listed, command=command, file=sweep.file))
    _name_problems(found, console=console)
    if missing:
        guesses = {key: seconds or 0.0 for key, seconds in estimates(missing, store=store, data=data).items()}
        done = len(sweep.trials) - len(missing)
        already = f" ({done} done before)" if done else ""
        console.print(
            f"sweep {sweep.name}: {_trials(len(missing))} to run{already}, "
            f"about {duration(sum(guesses.values()) / workers)}, records in {store.folder}",
            highlight=False,
        )
        executor = LocalExecutor(
            workers=workers, data=data, timeout_seconds=timeout_seconds, stall_seconds=stall_seconds
        )
        with make_display(console, estimates=guesses, workers=workers) as display:
            run_trials(
                missing,
                executor=executor,
                store=store,
                display=display,
                before=found.records,
                command=command,
            )
    else:
        all_done = "its one trial is done" if len(listed) == 1 else f"all {len(listed)} trials are done"
        console.print(f"sweep {sweep.name}: {all_done}, records in {store.folder}")
    ended = store.survey(listed)
    _name_problems(ended, console=console, but=found.problems())
    return Counter(_standing(trial_id, ended) for trial_id in listed)


def _trials(count: int) -> str:
    return f"{count} trial{'' if count == 1 else 's'}"


def _name_problems(found: Survey, *, console: Console, but: Container[str] = ()) -> None:
    for trial_id, problem in found.problems().items():
        if trial_id not in but:
            console.print(f"not believed: {problem}", markup=False, highlight=False, soft_wrap=True)


def _standing(trial_id: str, found: Survey) -> str:
    if trial_id in found.records:
        return found.records[trial_id].status
    return "unreadable" if trial_id in found.problems() else "missing"
