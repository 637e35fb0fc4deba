"""Runs a sweep: checks everything first, then runs what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.launch.display.events import JournalDisplay
from bench.launch.display.terminal import make_display
from bench.launch.display.told import Several
from bench.launch.display.words import duration
from bench.launch.duration.countdown import Countdown
from bench.launch.duration.estimate import Estimate, Lack, estimates, groups
from bench.launch.executor import Executor, gpus_of
from bench.launch.preparation import prepare_data
from bench.launch.scheduler import run_trials
from bench.machine import devices
from bench.machine.disk import remove_folder
from bench.plan.labels import distinct_labels
from bench.plan.shard import Shard
from bench.plan.sweep import Sweep
from bench.records.listing import Listing, write_listing
from bench.records.record import FINISHED
from bench.records.running.attempt import check_one_disk
from bench.records.running.leases import Watch
from bench.records.running.remains import clear_remains
from bench.records.store import Store, Survey


def plan(sweep: Sweep, *, store: Store, data: Path, workers: int, console: Console) -> None:
    """Prints the trials and the estimated time."""
    found = store.survey(trial.id for trial in sweep.trials)
    missing = {trial.id for trial in found.to_run(sweep.trials)}
    guesses = estimates(sweep.trials, store=store, data=data)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("trial", "", "state", "estimate"):
        # A label without room goes on in the next line: all else is whole.
        table.add_column(column, justify="right" if column == "estimate" else "left", no_wrap=column != "")
    for trial, label in zip(sweep.trials, distinct_labels(sweep.trials), strict=True):
        state = "to run" if trial.id in missing else "left alone" if trial.id in found.left_alone else "done"
        guess = guesses[trial.id]
        table.add_row(trial.id, Text(label), state, guess.lack or duration(guess.seconds))
    # Most trials keep their whole line, whatever the terminal's width.
    Console(width=max(console.width, 130), file=console.file).print(table)
    _name_problems(found, console=console)
    expected = _expected([guesses[trial_id] for trial_id in missing], workers=workers)
    console.print(
        f"{_trials(len(sweep.trials))}, {len(missing)} to run, {expected}",
        highlight=False,
        soft_wrap=True,
    )


def run_sweep(
    sweep: Sweep,
    *,
    store: Store,
    data: Path,
    executor: Executor,
    console: Console,
    command: str = "",
    retries: int = 0,
    shard: Shard | None = None,
    checks: bool = True,
    anew: bool = False,
) -> Counter[str]:
    """Runs the trials that are missing; returns how many of those asked for stand at each status.

    Damaged records are set aside and their trials run again; those of a later version are left alone and count as
    `unreadable`.

    Args:
        sweep: whose list is written, all of it, however it was narrowed.
        store: where the records go.
        data: the folder of data sets.
        executor: where trials run.
        console: what is shown goes there.
        command: the command line, for the records.
        retries: as `run_trials` takes them.
        shard: which of the sweep's trials are asked for; None is all.
        checks: whether trials run on this machine, so that it must have their devices and data.
        anew: whether those that have a record run again; it goes once nothing is refused any more.

    Raises `DeviceError` or `DataError` before anything runs where a framework, device, GPU or data set is missing, and
    `DiskError` where the results folder is on two disks, or the disk takes no more: what is finished is kept, and the
    same again goes on.
    """
    asked = [trial for trial in sweep.trials if shard is None or shard.holds(trial)]
    found = store.survey(trial.id for trial in asked)
    missing = [trial for trial in asked if trial.id not in found.left_alone] if anew else found.to_run(asked)
    if missing:
        check_one_disk(store.results)
    if missing and checks:
        devices.check(((trial.framework, trial.device) for trial in missing), gpus=gpus_of(executor.slots))
        prepare_data(missing, data=data)
    if anew:
        for trial_id in found.records:
            remove_folder(store.folder_of(trial_id))
        found.records.clear()
    write_listing(store.results, Listing(sweep=sweep.name, trials=sweep.ids, command=command, file=sweep.file))
    _name_problems(found, console=console)
    watch = Watch()
    clear_remains(store.results, _finished(found), watch=watch)
    if missing:
        guesses = estimates(missing, store=store, data=data)
        workers = len(executor.slots)
        done = len(asked) - len(missing)
        already = f" ({done} done before)" if done else ""
        console.print(
            f"sweep {sweep.name}: {_trials(len(missing))} to run{already}, "
            f"{_expected(list(guesses.values()), workers=workers)}, records in {store.folder}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        countdown = Countdown(
            {trial_id: guess.seconds for trial_id, guess in guesses.items()},
            groups={trial.id: groups(trial) for trial in missing},
            workers=workers,
        )
        displays = Several(
            [
                make_display(console, trials=len(missing), countdown=countdown),
                JournalDisplay(store.results, sweep=sweep.name, trials=len(missing), countdown=countdown),
            ]
        )
        with displays as display:
            run_trials(
                missing,
                executor=executor,
                store=store,
                data=data,
                display=display,
                before=found.records,
                command=command,
                retries=retries,
            )
    else:
        alone = len(found.left_alone)
        what = "its one trial is done" if len(asked) == 1 else f"all {len(asked)} trials are done"
        if alone:
            what = f"nothing to run, {len(asked) - alone} of {_trials(len(asked))} done and {alone} left alone"
        console.print(
            f"sweep {sweep.name}: {what}, records in {store.folder}", markup=False, highlight=False, soft_wrap=True
        )
    ended = store.survey(trial.id for trial in asked)
    clear_remains(store.results, _finished(ended), watch=watch)
    _name_problems(ended, console=console, but=found.problems())
    return Counter(_standing(trial.id, ended) for trial in asked)


def _expected(guesses: Sequence[Estimate], *, workers: int) -> str:
    """How long these trials may take, and for how many nothing is said of that, in a few words."""
    known = [guess.seconds for guess in guesses if guess.lack is None]
    lacks = Counter(guess.lack for guess in guesses)
    why = []
    if lacks[Lack.DATA]:
        why.append(f"the data of {_trials(lacks[Lack.DATA])} are not here")
    if lacks[Lack.TIMING]:
        why.append(f"no estimate for a GPU before a trial like it has run there ({_trials(lacks[Lack.TIMING])})")
    if why and not known:
        return f"no estimate yet: {'; '.join(why)}"
    # However many workers there are, the longest trial takes its time.
    seconds = max(sum(known) / workers, max(known, default=0.0))
    told = f"about {duration(seconds)} with {workers} worker{'s' if workers > 1 else ''} (an estimate)"
    return f"{told}; besides: {'; '.join(why)}" if why else told


def _finished(found: Survey) -> list[str]:
    return [trial_id for trial_id, record in found.records.items() if record.status in FINISHED]


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
