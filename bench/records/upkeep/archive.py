"""Copying trials to a folder that is kept: records, curves and gates of all, the best seed's reported parameters.

An archive is a results folder: it is reported, verified and merged like any other. What a trial's folder there does
without is listed in its `left_out.json`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import RecordError
from bench.machine.disk import disk_explained, exchange_folder, write_text
from bench.plan.sweep import NAME
from bench.plan.trial import Trial
from bench.records.files import (
    LEFT_OUT,
    PARAMETERS_OF,
    FileName,
    disagreement,
    is_sound,
    left_out,
    of_trial,
    write_left_out,
)
from bench.records.format import encode
from bench.records.listing import Listing, read_listing, write_listing
from bench.records.record import FINISHED, Record
from bench.records.running.leases import LEASES, take_lease
from bench.records.store import RECORD, Store

# Parameters make up most of a trial's bytes, and times of single steps most of the rest.
OF_ALL: tuple[FileName, ...] = ("curve.csv", "gates.npz")
# In the archive, before a trial's id: a copy until it is whole, and the folder whose place it takes.
INCOMING, BEFORE = ".incoming-", ".before-"
# For how long another copy of a trial is waited for, which takes less, and how often it is looked at.
COPY_SECONDS, LOOK_SECONDS = 2.0, 0.02


@dataclass
class Archived:
    """What became of the trials.

    Attributes:
        copied: ids of those that were copied, or had other files there.
        skipped: ids of those that stand there as they should.
        refused: one line for each that was not copied, and why.
    """

    copied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def archive(
    sweep: str, trials: Sequence[Trial], *, results: Path, target: Path, listed: Sequence[str] | None = None
) -> Archived:
    """Copies the records of these trials that can be believed, and the sweep's list; what did not finish stays behind.

    Of the best seed of each configuration and framework the parameters are kept that its reported numbers are of; the
    seeds that stand in the archive already count among them. Where another seed is the best of its configuration by
    now, the parameters that are no longer the best go, once those of the best are there. A trial that stands there
    whole stays whole, and one that somebody else runs or copies there is refused.

    Args:
        sweep: its name.
        trials: what is copied of it.
        results: the results folder that they stand in.
        target: the results folder that is kept.
        listed: the ids of all of the sweep's trials, for its list where `results` has none; None is those copied.

    Raises `RecordError` where none of the trials has finished or a folder is to be archived in itself, and `DiskError`
    where the disk takes no more: no trial is there by halves, and the same again goes on.
    """
    if target.resolve() == results.resolve():
        raise RecordError(f"{target}: is the folder whose trials are to be copied; name another one to keep them in")
    source, archived = Store(results), Archived()
    for trial_id in sorted(set(left_by_copies(target).values())):
        with _alone(trial_id, target=target):
            pass  # what a copy left that was killed is settled
    found = source.survey(trial.id for trial in trials)
    finished = [record for record in found.records.values() if record.status in FINISHED]
    archived.refused += found.problems().values()
    if not finished and not archived.refused:
        none = "the one trial has not" if len(trials) == 1 else f"none of the {len(trials)} trials has"
        raise RecordError(f"{results}: {none} finished; run the sweep first")
    standing = [record for record in Store(target).survey().records.values() if record.status in FINISHED]
    best = _best({record.trial_id: record for record in (*finished, *standing)}.values())
    first = {record.trial_id for record in best.values()}
    # Others lose their parameters to those of the best, once these are there.
    for record in sorted(finished, key=lambda record: record.trial_id not in first):
        _copy(record, best=best, source=source, target=target, archived=archived)
    asked = {record.trial_id: number for number, record in enumerate(finished)}
    for told in (archived.copied, archived.skipped):
        told.sort(key=asked.__getitem__)
    configurations = {_configuration(record) for record in finished}
    for record in standing:
        if record.trial_id not in asked and _configuration(record) in configurations:
            stripped = Archived()
            _copy(record, best=best, source=Store(target), target=target, archived=stripped)
            archived.copied += stripped.copied
    listing = read_listing(results, sweep) or Listing(
        sweep=sweep, trials=tuple(trial.id for trial in trials) if listed is None else tuple(listed)
    )
    write_listing(target, listing)
    return archived


def best_seeds(records: Iterable[Record]) -> frozenset[str]:
    """The ids of the trials of best quality in their configuration and framework; of equal ones, the first seed."""
    return frozenset(record.trial_id for record in _best(records).values())


def left_by_copies(target: Path) -> dict[Path, str]:
    """What copies into an archive keep beside its trials while they are made, or left when they were killed.

    Each folder, with the id of its trial.
    """
    found = {path: path.name.removeprefix(mark) for mark in (INCOMING, BEFORE) for path in target.glob(f"{mark}*")}
    return {path: trial_id for path, trial_id in sorted(found.items()) if NAME.fullmatch(trial_id)}


def _best(records: Iterable[Record]) -> dict[str, Record]:
    """The records of `best_seeds`, by configuration."""
    best: dict[str, Record] = {}
    for record in records:
        if record.status != "ok" or record.quality is None:
            continue
        configuration = _configuration(record)
        have = best.get(configuration)
        if have is None or _goes_before(record, have):
            best[configuration] = record
    return best


def _configuration(record: Record) -> str:
    return record.trial.model_copy(update={"seed": 0}).id


def _goes_before(record: Record, other: Record) -> bool:
    sign = -1.0 if record.higher_is_better else 1.0
    return (sign * (record.quality or 0.0), record.trial.seed) < (sign * (other.quality or 0.0), other.trial.seed)


def _copy(record: Record, *, best: Mapping[str, Record], source: Store, target: Path, archived: Archived) -> None:
    if _origins(record, best=best, source=source, target=target, archived=archived) is None:
        return
    trial_id = record.trial_id
    with _alone(trial_id, target=target) as alone:
        if not alone:
            archived.refused.append(
                f"{source.folder_of(trial_id)}: somebody else runs or copies the trial in {target} at the moment; "
                f"archive again when that has ended (one of another machine that is gone holds it no longer once "
                f"{target / LEASES / trial_id} is deleted)"
            )
            return
        # Looked at once more, since another copy may have just ended.
        origins = _origins(record, best=best, source=source, target=target, archived=archived)
        if origins is not None:
            names = of_trial(source.folder_of(trial_id), record.files)
            _put(record, origins, absent=[name for name in names if name not in origins], target=target)
            archived.copied.append(trial_id)


def _origins(
    record: Record, *, best: Mapping[str, Record], source: Store, target: Path, archived: Archived
) -> dict[FileName, Path] | None:
    """The files that are to stand in the archive, and where each is; None where nothing is to be done: that is told."""
    folder, store = source.folder_of(record.trial_id), Store(target)
    there = store.survey([record.trial_id])
    place, have = store.folder_of(record.trial_id), there.records.get(record.trial_id)
    if record.trial_id in there.left_alone:
        archived.refused.append(there.left_alone[record.trial_id])
        return None
    if have is not None and have != record and have.status in FINISHED:
        archived.refused.append(f"{folder}: differs from {place}, and both finished; delete the one not wanted")
        return None
    names = of_trial(folder, record.files)
    if have == record and not (place / LEFT_OUT).exists():  # no archive left it, and it may be the only whole one
        if off := [path for name in names if not is_sound(path := place / name, record.files)]:
            archived.refused.append(f"{off[0]}: is not the file that {folder} tells of; delete {place}")
        else:
            archived.skipped.append(record.trial_id)
        return None
    first = best.get(_configuration(record))
    with_parameters = first is not None and (first.trial_id == record.trial_id or _stands_in(record, first, store))
    kept = (*OF_ALL, PARAMETERS_OF[record.reported]) if with_parameters else OF_ALL
    origins: dict[FileName, Path] = {}
    for name in names:
        if name not in kept:
            continue
        paths = [folder / name, *([place / name] if have == record else [])]  # either may be an archive without it
        if sound := [path for path in paths if is_sound(path, record.files)]:
            origins[name] = sound[0]
        elif problem := disagreement(folder / name, record.files):
            archived.refused.append(problem)
            return None
    if (
        have == record
        and left_out(place) == set(names).difference(origins)
        and all(is_sound(place / name, record.files) for name in origins)
    ):
        archived.skipped.append(record.trial_id)
        return None
    return origins


def _stands_in(record: Record, first: Record, store: Store) -> bool:
    """Whether a trial's parameters stay in the store because those of the best, `first`, are not there."""
    return _has_parameters(record, store) and not _has_parameters(first, store)


def _has_parameters(record: Record, store: Store) -> bool:
    """Whether the trial stands in the store with the parameters that its reported numbers are of."""
    have = store.survey([record.trial_id]).records.get(record.trial_id)
    path = store.folder_of(record.trial_id) / PARAMETERS_OF[record.reported]
    return have == record and is_sound(path, record.files)


def _put(record: Record, origins: Mapping[FileName, Path], *, absent: Iterable[FileName], target: Path) -> None:
    """Copies a trial's files together and gives them its place in the archive; what stood there goes after that."""
    incoming, before = _aside(record.trial_id, target)
    store = Store(target)
    place, damaged = store.folder_of(record.trial_id), store.survey([record.trial_id]).damaged
    if record.trial_id in damaged and not (place / LEFT_OUT).exists():
        store.set_aside(record.trial_id, reason=damaged[record.trial_id])
    with disk_explained(incoming):
        try:
            incoming.mkdir(parents=True)
            for name, origin in origins.items():
                shutil.copy2(origin, incoming / name)
            write_left_out(incoming, absent)
            write_text(incoming / RECORD, encode(record))
            place.parent.mkdir(exist_ok=True)
            exchange_folder(incoming, place, before=before)
        finally:
            _settle(record.trial_id, target)


@contextmanager
def _alone(trial_id: str, *, target: Path) -> Iterator[bool]:
    """Keeps other copies, merges and runs from a trial of the archive meanwhile; whether none of them has it now.

    What a copy of it left that was killed is settled first. Raises `DiskError` where the disk does not take it.
    """
    until = time.monotonic() + COPY_SECONDS
    while (lease := take_lease(target, trial_id)) is None and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    if lease is None:
        yield False
        return
    try:
        _settle(trial_id, target)
        yield True
    finally:
        have = Store(target).survey([trial_id]).records.get(trial_id)
        lease.release(finished=have is not None and have.status in FINISHED)


def _settle(trial_id: str, target: Path) -> None:
    """Ends a copy, wherever it stopped: what it took aside comes back where nothing took its place, the rest goes."""
    incoming, before = _aside(trial_id, target)
    place = Store(target).folder_of(trial_id)
    with disk_explained(place):
        if before.exists() and not place.exists():
            before.rename(place)
    for left in (incoming, before):
        shutil.rmtree(left, ignore_errors=True)


def _aside(trial_id: str, target: Path) -> tuple[Path, Path]:
    """Where a copy of a trial stands until it is whole, and the folder whose place it takes."""
    return target / f"{INCOMING}{trial_id}", target / f"{BEFORE}{trial_id}"
