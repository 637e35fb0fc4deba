"""`reproduce`: trains recorded trials again and holds the new records against the first ones."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DATA, RESULTS, DataOption, ResultsOption, WhereOption, WorkersOption
from bench.cli.selection import select
from bench.cli.start import command_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bench.records.record import Record
    from bench.records.store import Store
    from bench.records.upkeep.reproduction import Reproduction

# The list of what is trained again, and its folder: of its own, since what an earlier draw finished is removed.
NAME, REPRODUCED = "reproduce", RESULTS / "reproduced"


def reproduce(
    sweep: Annotated[str | None, typer.Argument(metavar="SWEEP", help="Of this sweep alone; else any record.")] = None,
    where: WhereOption = None,
    sample: Annotated[int, typer.Option(min=1, help="How many trials are drawn.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    workers: WorkersOption = 1,
    results: ResultsOption = RESULTS,
    into: Annotated[Path, typer.Option(metavar="DIR", help="Where the new records go, and nothing else.")] = REPRODUCED,
    data: DataOption = DATA,
) -> None:
    """Train recorded trials again, drawn at random, and compare: to the bit, or else with the spread of their seeds.

    The exit code is 0 where every one is confirmed, 1 where one is not.
    """
    from rich.console import Console

    from bench.errors import RecordError
    from bench.launch.duration.estimate import but_for_seed
    from bench.launch.local.local_executor import LocalExecutor
    from bench.launch.running import run_sweep
    from bench.plan.sweep import Sweep
    from bench.records.store import Store
    from bench.records.upkeep.reproduction import compared

    console = Console()
    records = _recorded(sweep, where=where, results=results)
    _check_own(into, results=results)
    drawn = random.Random(seed).sample(records, min(sample, len(records)))
    again = Store(into)
    trials = tuple(record.trial for record in drawn)
    try:
        run_sweep(
            Sweep(name=NAME, description="trials that are trained again", trials=trials),
            store=again,
            data=data,
            executor=LocalExecutor(workers=workers, data=data),
            console=console,
            command=command_line(),
            anew=not _goes_on(again, drawn),
        )
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    found = []
    for first in drawn:
        second = again.read(first.trial_id)
        if second is None:
            raise RecordError(f"{again.folder_of(first.trial_id)}: the trial that was trained again left no record")
        seeds = [one for one in records if but_for_seed(one.trial) == but_for_seed(first.trial)]
        found.append(compared(first, second, seeds=seeds))
    _show(found, console=console)
    raise typer.Exit(0 if all(one.reproduced for one in found) else 1)


def _recorded(sweep: str | None, *, where: Sequence[str] | None, results: Path) -> list[Record]:
    """The finished records of a sweep, or of the folder, in the order of their ids."""
    from bench.errors import RecordError
    from bench.records.record import FINISHED
    from bench.records.store import Store

    if where and sweep is None:
        raise RecordError("--where narrows a sweep: name it")
    trial_ids = None if sweep is None else [trial.id for trial in select(sweep, where=where, device=None).trials]
    found = Store(results).survey(trial_ids)
    for problem in found.problems().values():
        print(f"not believed: {problem}", file=sys.stderr)
    records = [record for _, record in sorted(found.records.items()) if record.status in FINISHED]
    if not records:
        of_sweep = "" if sweep is None else f" of sweep {sweep!r}"
        raise RecordError(f"{results}: holds no finished trial{of_sweep}; name another folder with --results")
    return records


def _check_own(into: Path, *, results: Path) -> None:
    """Raises `RecordError` for a folder with records of anything else, since what stands there is removed."""
    from bench.errors import RecordError
    from bench.records.listing import listed_sweeps
    from bench.records.store import Store

    lists = listed_sweeps(into)
    own = lists == [NAME] or (not lists and not Store(into).trial_ids())
    if not own or into.resolve() == results.resolve():
        raise RecordError(f"--into {into}: records of other runs stand there, which would be replaced; name another")


def _goes_on(store: Store, drawn: Sequence[Record]) -> bool:
    """Whether this very draw was stopped before it was through, so that what it finished counts."""
    from bench.errors import RecordError
    from bench.records.listing import read_listing

    try:
        listing = read_listing(store.results, NAME)
    except RecordError:  # it is written anew
        return False
    same = listing is not None and set(listing.trials) == {record.trial_id for record in drawn}
    return same and bool(store.missing([record.trial for record in drawn]))


def _show(found: Sequence[Reproduction], *, console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("trial", "", "quality", "again", "updates", "again", "verdict"):
        table.add_column(column, justify="right" if column in ("quality", "again", "updates") else "left", no_wrap=True)
    for one in found:
        numbers = [
            "–" if value is None else f"{value:.6g}"
            for name in ("quality", "update_ratio")
            for value in (getattr(one.first, name), getattr(one.again, name))
        ]
        table.add_row(one.first.trial_id, one.first.trial.label, *numbers, one.verdict)
    type(console)(width=max(console.width, 150), file=console.file).print(table)
    for one in found:
        if one.verdict in ("identical", "the same numbers"):
            continue
        of_error = f" ({one.again.error})" if one.again.error else ""
        other = "; ".join(one.conditions) or "none that records tell"
        told = (
            f"{one.first.trial_id}: differs in {', '.join(one.differing) or 'its end'}{of_error}; conditions: {other}"
        )
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    confirmed = sum(one.reproduced for one in found)
    identical = sum(one.verdict == "identical" for one in found)
    console.print(f"{confirmed} of {len(found)} confirmed, {identical} of them bit for bit", highlight=False)
