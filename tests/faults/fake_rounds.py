"""A round on this machine whose trials learn nothing: seconds, of which none goes into a framework."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.launch.running import run_sweep
from bench.plan import sweep as sweeps
from bench.records.store import RECORD, Store
from tests.faults.fake_learner import FakeExecutor
from tests.faults.rounds import Result, Round, results_of, write_sweeps
from tests.faults.runs import LEARNS_NOTHING
from tests.faults.schedule import covering_schedule

# So many that some are left to disturb in a round's last run.
ORDERS = {"one": tuple(range(11)), "other": (10, *range(10))}


def fake_reference(folder: Path, *, orders: Mapping[str, Sequence[int]] = ORDERS) -> dict[str, Result]:
    """The results of a run whose trials learn nothing, undisturbed."""
    folder.mkdir(parents=True)
    sweep = sweeps.load(str(write_sweeps(folder, orders)["one"]))
    store = Store(folder / "results")
    console = Console(file=io.StringIO())
    run_sweep(sweep, store=store, data=folder / "data", executor=FakeExecutor(), console=console, checks=False)
    return results_of(store, left=every_file)


def every_file(folder: Path) -> dict[str, Any]:
    """What stands beside a record, but for what was printed."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in (RECORD, "log.txt")}


class FakeRound(Round):
    """The round; its faults are dealt out so that two that follow each other have all of them."""

    orders = ORDERS
    drawn = staticmethod(covering_schedule)
    environment = LEARNS_NOTHING

    def _found(self, store: Store) -> dict[str, Result]:
        return results_of(store, left=every_file)
