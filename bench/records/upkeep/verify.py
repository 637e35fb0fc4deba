"""Whether all of a results folder can be believed: records, files, leases, lists."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import RecordError
from bench.machine.disk import check_is_file
from bench.records.files import disagreements
from bench.records.listing import listed_sweeps, read_listing
from bench.records.running.attempt import attempts, is_resumable
from bench.records.running.leases import Watch, is_gone, leased_trials
from bench.records.running.lone_folder import has_finished
from bench.records.store import Store
from bench.records.upkeep.adopt import old_folders
from bench.records.upkeep.archive import INCOMING, left_by_copies


def findings(results: Path) -> list[str]:
    """One line for each thing that is off: what, where, and what becomes of it. Changes nothing.

    Raises `RecordError` where there is no such folder.
    """
    if not results.is_dir():
        raise RecordError(f"{results}: there is no such folder; name one with --results")
    looks = (_records, _files, _running, _copied, _lists, _old)
    return [finding for look in looks for finding in look(results)]


def _records(results: Path) -> Iterator[str]:
    store = Store(results)
    found = store.survey()
    yield from found.problems().values()
    for trial_id in store.trial_ids():
        if trial_id not in found.records and trial_id not in found.problems():
            yield f"{store.folder_of(trial_id)}: holds no record; delete it, or run its sweep again"


def _files(results: Path) -> Iterator[str]:
    store = Store(results)
    told = {trial_id: record.files for trial_id, record in store.survey().records.items()}
    for trial_id, files in told.items():
        yield from disagreements(store.folder_of(trial_id), files).values()
    for path in sorted(store.folder.glob("*/*.npz")):
        if path.name in told.get(path.parent.name, {}):
            continue
        try:  # a record that does not tell: the archive's own checksums are something
            check_is_file(path)
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except Exception as error:  # a damaged file makes the readers of zip raise almost anything
            said = " ".join(f"{type(error).__name__}: {error}".split())
            yield f"{path}: cannot be read ({said}); delete the trial's folder and run its sweep again"
        else:
            if damaged is not None:
                yield f"{path}: {damaged} in it is damaged; delete the trial's folder and run its sweep again"


def _running(results: Path) -> Iterator[str]:
    leased = leased_trials(results)
    # Of another machine's lease one look tells nothing.
    gone = {trial_id for trial_id, path in leased.items() if is_gone(path, watch=Watch())}
    for trial_id in sorted(gone):
        yield f"{leased[trial_id]}: who ran the trial is gone; its sweep's next run takes it over"
    for folder in attempts(results):
        trial_id = folder.name.partition("-")[0]
        if trial_id in leased or is_resumable(folder):
            continue
        if has_finished(folder, trial_id=trial_id):
            yield f"{folder}: finished after its run was gone; its sweep's next run takes its record in"
        else:
            yield f"{folder}: a run that was cut off; its sweep's next run removes it"


def _copied(results: Path) -> Iterator[str]:
    """What copies into an archive left that were killed; those that are made now hold a lease."""
    leased = leased_trials(results)
    for folder, trial_id in left_by_copies(results).items():
        if trial_id in leased and not is_gone(leased[trial_id], watch=Watch()):
            continue
        place = Store(results).folder_of(trial_id)
        becomes = "removes it" if place.exists() or folder.name.startswith(INCOMING) else f"makes it {place} again"
        yield f"{folder}: a copy that was cut off; the next archive into this folder {becomes}"


def _lists(results: Path) -> Iterator[str]:
    for sweep in listed_sweeps(results):
        try:
            read_listing(results, sweep)
        except RecordError as error:
            yield str(error)


def _old(results: Path) -> Iterator[str]:
    for folder in old_folders(results):
        yield f"{folder}: a trial in its sweep's folder, which nothing reads any more; run python -m bench adopt"
