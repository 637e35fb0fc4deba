"""What runs that were cut off left of finished trials, which nobody takes up again: somebody has to look."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import LEASES, Watch, take_lease


def clear_remains(results: Path, finished: Iterable[str], *, watch: Watch) -> None:
    """Removes the leases, folders and checkpoints that are left of finished trials.

    Args:
        results: the folder of all records.
        finished: ids of the trials that have a record which will not be run again.
        watch: what was seen of the leases of other machines: one that may still be held stays.

    Raises `DiskError` where the disk takes no lease.
    """
    leases = results / LEASES
    left = {folder.name for folder in leases.iterdir()} if leases.is_dir() else set()
    left |= {folder.name.partition("-")[0] for folder in attempts(results)}
    for trial_id in sorted(left.intersection(finished)):
        lease = take_lease(results, trial_id, watch=watch)
        if lease is not None:
            Attempt(results, lease=lease).end()
