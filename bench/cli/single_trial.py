"""`run --trial ID`: a single trial, run beside the others or again, and its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plan.sweep import Sweep
    from bench.records.store import Store

# Where trials that are run again leave their records, so that the first ones stay.
AGAIN = "again"


def store_of_one(sweep: Sweep, *, results: Path) -> Store:
    """Where a single trial goes: beside the others, or apart where it has a record, which stays as it is."""
    from bench.records.store import Store

    store = Store(results)
    return store if store.missing(sweep.trials) else Store(results / AGAIN)


def print_one(sweep: Sweep, *, store: Store, results: Path, console: Console) -> None:
    """Prints the headline numbers of the one trial; beside them those of its first record, where it was run again."""
    from bench.launch.display.words import headline
    from bench.records.store import Store

    (trial,) = sweep.trials
    record = store.read(trial.id)
    if record is None:
        return
    first = None if store.results == results else Store(results).read(trial.id)
    console.print(headline(record, first=first))
    path = store.folder_of(trial.id) / "record.json"
    console.print(f"record: {path}", markup=False, highlight=False, soft_wrap=True)
