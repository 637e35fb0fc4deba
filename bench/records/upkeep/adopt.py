"""Taking in trials that stand in their sweep's folder, `results/<sweep>/<trial id>/`, as they once did."""

from __future__ import annotations

import filecmp
import re
from contextlib import suppress
from pathlib import Path

from bench.errors import RecordError
from bench.machine.disk import remove_folder
from bench.records.files import LEFT_OUT
from bench.records.listing import Listing, read_listing, write_listing
from bench.records.running.leases import LEASES
from bench.records.store import CHECKPOINTS, RECORD, TRIALS, Store, read_record
from bench.records.upkeep.merge import Merged, take_in

TRIAL_ID = re.compile(r"[0-9a-f]{16}")
OWN = (TRIALS, LEASES)


def old_folders(results: Path) -> list[Path]:
    """The trials' folders that stand in a sweep's folder."""
    return sorted(
        path for path in results.glob("*/*/") if TRIAL_ID.fullmatch(path.name) and path.parent.name not in OWN
    )


def adopt(results: Path) -> Merged:
    """Moves such trials into the store, and lists each sweep that has no list.

    A folder goes once its trial stands in the store with every file of it. Whatever is not taken in stays where it is,
    and is told. Raises `RecordError` where there is no such folder.
    """
    if not results.is_dir():
        raise RecordError(f"{results}: there is no such folder; name one with --results")
    merged = Merged()
    sweeps: dict[Path, list[str]] = {}
    for folder in old_folders(results):
        trials = sweeps.setdefault(folder.parent, [])
        try:
            record = read_record(folder)
        except RecordError as error:
            merged.refused.append(str(error))
            continue
        if record is None:
            merged.refused.append(f"{folder}: holds no record; delete it")
            continue
        trials.append(record.trial_id)
        if not take_in(folder, record, results=results, merged=merged):
            continue
        place = Store(results).folder_of(record.trial_id)
        if other := _not_there(folder, place):
            merged.refused.append(
                f"{other}: is not in {place}, where its trial stands; delete {folder} if it is not needed"
            )
        else:
            remove_folder(folder)
    for folder, trials in sweeps.items():
        if trials and read_listing(results, folder.name) is None:
            write_listing(results, Listing(sweep=folder.name, trials=tuple(trials)))
        with suppress(OSError):  # what was not taken in is still there
            folder.rmdir()
    return merged


def _not_there(folder: Path, place: Path) -> Path | None:
    """A file beside the record of a trial that does not stand in its place in the store; None where all do."""
    for path in sorted(folder.rglob("*")):
        there = place / path.relative_to(folder)
        of_no_use = path.name in (RECORD, LEFT_OUT) or path.name.startswith(".") or path.match(CHECKPOINTS)
        if of_no_use or (path.is_dir() and there.is_dir()):
            continue
        if not (there.is_file() and filecmp.cmp(path, there, shallow=False)):
            return path
    return None
