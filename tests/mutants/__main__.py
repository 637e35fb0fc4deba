"""`python -m tests.mutants`: breaks the code on purpose and tells what no test noticed. docs/mutants.md explains it."""

from __future__ import annotations

from typing import Annotated

import typer
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome

from tests.mutants.rooms import read_rooms
from tests.mutants.sample import sample
from tests.mutants.survivors import fate, page
from tests.mutants.trees import FOLDER, TakenError, taken
from tests.mutants.trials import RedTestsError, try_mutants

NUMBER = 15


def main(
    seed: Annotated[int, typer.Option(help="Another seed takes other mutants.")] = 0,
    number: Annotated[int, typer.Option(help="Mutants a room.", min=1)] = NUMBER,
    room: Annotated[str | None, typer.Option(help="One room alone, such as bench/plan.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Try this sample's survivors again, with new tests.")] = False,
    workers: Annotated[int, typer.Option(help="Mutants at a time.", min=1)] = 2,
) -> None:
    """Tries a sample of mutants; what was tried before, of the same files, is not tried again."""
    rooms = sorted({each.name for each in read_rooms()})
    if room not in (None, *rooms):
        raise typer.BadParameter(f"no room {room!r}: take one of {', '.join(rooms)}", param_hint="--room")
    try:
        with taken(), use_db(FOLDER / "session.sqlite", WorkDB.Mode.create) as database:
            text = _try_sample(database, seed=seed, number=number, room=room, again=again, workers=workers)
    except (RedTestsError, TakenError) as error:
        raise SystemExit(str(error)) from None
    typer.echo(text)
    FOLDER.joinpath("survivors.md").write_text(text, encoding="utf-8")
    typer.echo(f"written to {FOLDER / 'survivors.md'}")


def _try_sample(database: WorkDB, *, seed: int, number: int, room: str | None, again: bool, workers: int) -> str:
    """The tables, after whatever of the sample has no result yet was tried; each result is kept as it comes."""
    items = {item.job_id: item for item in sample(seed=seed, number=number, room=room)}
    known = {item.job_id for item in database.work_items}
    database.add_work_items(item for item in items.values() if item.job_id not in known)
    results = {identity: result for identity, result in database.results if identity in items}
    survived = {identity for identity, result in results.items() if result.test_outcome == TestOutcome.SURVIVED}
    left = [item for item in items.values() if item.job_id not in results or (again and item.job_id in survived)]
    for count, (item, result) in enumerate(try_mutants(left, workers=workers) if left else (), 1):
        database.set_result(item.job_id, result)
        results[item.job_id] = result
        told = fate(item, result)
        typer.echo(f"{count}/{len(left)} {told.outcome}: {told.file}:{told.line} {told.before} → {told.after}")
    fates = [fate(items[identity], result) for identity, result in results.items()]
    return page(fates, title=f"Mutants of seed {seed}")


if __name__ == "__main__":
    typer.run(main)
