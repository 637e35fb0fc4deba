"""`watch`: how a sweep stands, read from the results folder alone, wherever its trials run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_SWEEP, RESULTS, DeviceOption, ResultsOption, SweepArgument, WhereOption
from bench.cli.selection import select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from bench.plan.sweep import Sweep
    from bench.records.running.leases import Watch
    from bench.records.running.under_way import UnderWay
    from bench.records.seen import Ending, SeenRecords


def watch(
    sweep: SweepArgument = DEFAULT_SWEEP,
    where: WhereOption = None,
    device: DeviceOption = None,
    results: ResultsOption = RESULTS,
    every: Annotated[float, typer.Option(min=0.5, metavar="SECONDS", help="Between two looks.")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and stop.")] = False,
) -> None:
    """Show what of a sweep is done, runs and waits, until all is done or Ctrl-C. Writes nothing."""
    from rich.console import Console

    from bench.errors import RecordError
    from bench.launch.duration.estimate import but_for_seed
    from bench.records.running.leases import Watch
    from bench.records.seen import SeenRecords

    asked = select(sweep, where=where, device=device)
    console, leases = Console(), Watch()
    records = SeenRecords(results, (trial.id for trial in asked.trials))
    alike = {trial.id: but_for_seed(trial) for trial in asked.trials}
    try:
        if not results.is_dir():
            raise RecordError(f"{results}: there is no such folder; name one with --results")
        while True:
            unfinished = show(
                asked,
                alike,
                results=results,
                records=records,
                leases=leases,
                console=console,
                every=None if once else every,
            )
            if once or not unfinished:
                return
            time.sleep(every)
    except PermissionError as error:  # of a run of another user, who keeps to himself what he writes
        raise RecordError(f"{error.filename}: may not be read; have its owner change its permissions") from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def show(
    sweep: Sweep,
    alike: Mapping[str, str],
    *,
    results: Path,
    records: SeenRecords,
    leases: Watch,
    console: Console,
    every: float | None,
) -> int:
    """Prints one look at a sweep, over the one before in a terminal; returns how many trials run or wait.

    Args:
        sweep: which.
        alike: what trials that differ in the seed alone share, by trial id.
        results: the folder of all records.
        records, leases: what was seen of them at earlier looks.
        console: where it is printed.
        every: seconds to the next look; None for none.
    """
    from rich.table import Table
    from rich.text import Text

    from bench.launch.display.words import duration
    from bench.records.running.under_way import under_way

    # Leases first: a trial that ends between the looks then stands as done, not as waiting.
    running = {one.trial_id: one for one in under_way(results, alike, watch=leases)}
    records.look()
    for trial_id in records.endings.keys() & running.keys():
        if records.endings[trial_id].status in ("ok", "diverged"):
            del running[trial_id]
    ended = {key: ending for key, ending in records.endings.items() if key not in running}
    waiting = [key for key in alike if key not in ended and key not in running and key not in records.left_alone]
    failed = sum(ending.status != "ok" for ending in ended.values())

    trials = {trial_id: trial for trial_id, trial in zip(alike, sweep.trials, strict=True) if trial_id in running}
    now = time.time()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("trial", "host", "process", "since", "last sign of life", "step", "loss"):
        table.add_column(column, overflow="fold")
    for one in running.values():
        steps = trials[one.trial_id].protocol.steps
        step = "–" if one.step is None else f"{one.step} / {steps}" if steps else str(one.step)
        words = (_ago(one.since, now=now), _ago(one.heard, now=now), one.trouble or step)
        loss = "–" if one.loss is None else format(one.loss, ".4g")
        label = trials[one.trial_id].label
        host = one.host if one.node in ("", one.host) else f"{one.node}, for {one.host}"
        table.add_row(*map(Text, (label, host, str(one.process_id), *words, loss)))
    if console.is_terminal:
        console.clear()
    if running:
        console.print(table)
    counts = f"{len(ended)} done, {failed} failed, {len(running)} running, {len(waiting)} waiting"
    unreadable = f", {len(records.left_alone)} unreadable" if records.left_alone else ""
    seconds, unknown = seconds_left(alike, ended=ended, running=running, waiting=waiting, now=now)
    left = f"about {duration(seconds)} left by the recorded times" if seconds is not None else ""
    without = f"no recorded time tells of {unknown}" if unknown else ""
    told = ", ".join(word for word in (left, without) if word)
    console.print(f"{counts}{unreadable}{'; ' if told else ''}{told}", markup=False, highlight=False, soft_wrap=True)
    if len(waiting) == len(alike):
        waits = "" if every is None else f"; waits for a run of it, a look every {every:g} s, Ctrl-C ends"
        console.print(
            f"{results}: nothing of sweep {sweep.name} yet{waits}", markup=False, highlight=False, soft_wrap=True
        )
    return len(running) + len(waiting)


def seconds_left(
    alike: Mapping[str, str],
    *,
    ended: Mapping[str, Ending],
    running: Mapping[str, UnderWay],
    waiting: Sequence[str],
    now: float,
) -> tuple[float | None, int]:
    """The time left, as many trials at a time as run now, and how many unfinished trials it says nothing of.

    A trial takes what those of the sweep took that ended ok and differ from it in the seed alone, in the mean. The
    seconds are None where no unfinished trial has such a one.
    """
    taken: dict[str, list[float]] = {}
    for trial_id, ending in ended.items():
        if ending.status == "ok" and ending.total_seconds:
            taken.setdefault(alike[trial_id], []).append(ending.total_seconds)
    typical = {key: sum(seconds) / len(seconds) for key, seconds in taken.items()}
    known = [key for key in (*running, *waiting) if alike[key] in typical]
    unknown = len(running) + len(waiting) - len(known)
    if not known:
        return None, unknown
    gone = {key: max(0.0, now - one.since) for key, one in running.items()}
    seconds = sum(max(0.0, typical[alike[key]] - gone.get(key, 0.0)) for key in known)
    return seconds / max(1, len(running)), unknown


def _ago(date: float, *, now: float) -> str:
    """How long ago, by this machine's clock; a date that is yet to come is another clock's."""
    from bench.launch.display.words import duration

    return f"{duration(max(0.0, now - date))} ago" if now - date > -1.0 else "by a clock that is ahead"
