"""Joining one results folder into another: each trial once, and nothing lost or believed by mistake."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import LeaseError, RecordError
from bench.machine.disk import copy_folder, disk_explained, remove_folder
from bench.records.files import FILES, LEFT_OUT, FileName, disagreements, is_sound, left_out, of_trial, write_left_out
from bench.records.listing import listed_sweeps, read_listing, write_listing
from bench.records.record import FINISHED, Record
from bench.records.running.attempt import Attempt
from bench.records.running.leases import LEASES, take_lease
from bench.records.store import RECORD, Store

# Where a copy stands until it is whole.
INCOMING = ".incoming"


@dataclass
class Merged:
    """What became of the trials that were to be taken in.

    Attributes:
        copied: ids of those that were missing, damaged, unfinished or without some of their files where they now stand.
        skipped: ids of those that are there already: the same record, or one that finished where this did not.
        refused: one line for each that was not taken in, and why.
    """

    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, other: Merged) -> None:
        """Takes in what became of those of another folder."""
        self.copied += other.copied
        self.skipped += other.skipped
        self.refused += other.refused


def merge(results: Path, other: Path) -> Merged:
    """Takes the trials and lists of `other` into `results`; `other` stays as it is.

    Raises `RecordError` where `other` is no results folder, and `DiskError` where the disk takes no more: what was
    taken in stays, nothing is there by halves, and the same again goes on.
    """
    source = Store(other)
    if not source.folder.is_dir() and not listed_sweeps(other):  # a shard may have no trial of its sweep
        raise RecordError(f"{other}: holds no trials (there is no {source.folder})")
    found = source.survey()
    merged = Merged(refused=list(found.problems().values()))
    for trial_id, record in found.records.items():
        take_in(source.folder_of(trial_id), record, results=results, merged=merged)
    for sweep in listed_sweeps(other):
        _take_list(sweep, other, results=results, merged=merged)
    return merged


def take_in(folder: Path, record: Record, *, results: Path, merged: Merged) -> bool:
    """Copies a trial's folder into the store, unless as much stands there; whether it stands there now.

    A record that finished goes before one that did not, and of two that did not the later one stands. Of two that
    finished and differ neither is better: the one that is there stays, and the other is refused. So is one whose files
    are not what its record tells. Of two that are the same, files that the one there lacks are taken from the other.
    """
    trial_id = record.trial_id
    lease = take_lease(results, trial_id)
    if lease is None:
        merged.refused.append(
            f"{folder}: the trial runs at the moment; merge again when it has ended (a run of another machine that is "
            f"gone holds it no longer once {results / LEASES / trial_id} is deleted)"
        )
        return False
    attempt = Attempt(results, lease=lease)
    try:
        with attempt.while_held():
            return _take_in(folder, record, attempt=attempt, merged=merged)
    except LeaseError as error:  # this process stood still for so long that another run has taken the trial over
        merged.refused.append(f"{folder}: {error}")
        return False
    finally:
        attempt.end()


def _take_in(folder: Path, record: Record, *, attempt: Attempt, merged: Merged) -> bool:
    trial_id, store = record.trial_id, Store(attempt.results)
    if lacking := _lacking(folder, record, store=store):
        if off := [*_unreadable(folder), *_unreadable(store.folder_of(trial_id))]:
            merged.refused += off
            return False
        _complete(folder, record, lacking, attempt=attempt)
        merged.copied.append(trial_id)
        return True
    stands = _stands(folder, record, store=store, merged=merged)
    if stands is None:
        there = store.survey([trial_id])
        if trial_id in there.damaged:
            store.set_aside(trial_id, reason=there.damaged[trial_id])
        attempt.start()  # which may find that a run ended it that was cut off
        stands = _stands(folder, record, store=store, merged=merged)
    if stands is not None:
        return stands
    if off := _unreadable(folder):
        merged.refused += off
        return False
    incoming = attempt.running / INCOMING
    copy_folder(folder, incoming, leaving_out=RECORD)
    if differing := disagreements(incoming, record.files):
        shutil.rmtree(incoming)
        merged.refused += [problem.replace(f"{incoming}/", f"{folder}/") for problem in differing.values()]
        return False
    _unpack(incoming, attempt.running)
    attempt.write(record)  # last, in the present schema
    merged.copied.append(trial_id)
    return True


def _stands(folder: Path, record: Record, *, store: Store, merged: Merged) -> bool | None:
    """Whether as much stands in the store as is to be taken in; None where it has to be taken in."""
    trial_id = record.trial_id
    there = store.survey([trial_id])
    if trial_id in there.left_alone:
        merged.refused.append(there.left_alone[trial_id])
        return False
    have = there.records.get(trial_id)
    if have is not None and have != record and have.status in FINISHED and record.status in FINISHED:
        merged.refused.append(
            f"{folder}: differs from {store.folder_of(trial_id)}, and both finished; delete the one not wanted"
        )
        return False
    if have is not None and not _is_better(record, have):
        merged.skipped.append(trial_id)
        return True
    return None


def _lacking(folder: Path, record: Record, *, store: Store) -> list[FileName]:
    """The files that the same trial in the store does without, or that are off there, and are sound in this folder."""
    place = store.folder_of(record.trial_id)
    if store.survey([record.trial_id]).records.get(record.trial_id) != record:
        return []
    told = record.files
    return [
        name for name in of_trial(folder, told) if is_sound(folder / name, told) and not is_sound(place / name, told)
    ]


def _complete(folder: Path, record: Record, lacking: Sequence[FileName], *, attempt: Attempt) -> None:
    """Replaces the trial in the store by one with these files too, and with what else only the other folder holds."""
    place = Store(attempt.results).folder_of(record.trial_id)
    copy_folder(place, attempt.running, leaving_out=LEFT_OUT)
    copy_folder(folder, attempt.running / INCOMING, leaving_out=RECORD)
    for path in (attempt.running / INCOMING).iterdir():
        if path.name not in lacking and (path.name in (*FILES, LEFT_OUT) or (attempt.running / path.name).exists()):
            remove_folder(path) if path.is_dir() else path.unlink()
    _unpack(attempt.running / INCOMING, attempt.running)
    if without := left_out(place).difference(lacking):
        write_left_out(attempt.running, sorted(without))
    attempt.replace(record)


def _unreadable(folder: Path) -> list[str]:
    """What in a trial's folder cannot be copied: one line each. Links stay links, wherever they lead."""
    found = [path for path in sorted(folder.rglob("*")) if not (path.is_symlink() or path.is_dir())]
    return [
        f"{path}: is no file that can be read; the trial is left where it is"
        for path in found
        if not (path.is_file() and os.access(path, os.R_OK))
    ]


def _unpack(incoming: Path, folder: Path) -> None:
    """Moves everything out of a folder into the one that it stands in, in the place of what is there."""
    with disk_explained(folder):
        for path in sorted(incoming.iterdir()):
            there = folder / path.name
            if there.is_dir():
                remove_folder(there)
            path.replace(there)
        incoming.rmdir()


def _is_better(record: Record, have: Record) -> bool:
    if have.status in FINISHED:
        return False
    return record.status in FINISHED or record.finished > have.finished


def _take_list(sweep: str, other: Path, *, results: Path, merged: Merged) -> None:
    try:
        theirs, ours = read_listing(other, sweep), read_listing(results, sweep)
    except RecordError as error:
        merged.refused.append(str(error))
        return
    if theirs is None or ours == theirs:
        return
    if ours is None:
        write_listing(results, theirs)
    elif ours.trials != theirs.trials:
        merged.refused.append(f"{other / sweep}.json: the sweep asks for other trials here; the list here stays")
