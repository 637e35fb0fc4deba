"""Copying trials to a folder that is kept: records, curves and gates of all, the best seed's reported parameters.

An archive is a results folder: it is reported, verified and merged like any other. What a trial's folder there does
without is listed in its `left_out.json`.
"""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import RecordError
from bench.machine.disk import disk_explained, remove_folder, write_text
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
from bench.records.store import RECORD, Store

# Parameters make up most of a trial's bytes, and times of single steps most of the rest.
OF_ALL: tuple[FileName, ...] = ("curve.csv", "gates.npz")


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
    now, the parameters that are no longer the best go. A trial that stands there whole stays whole.

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
    found = source.survey(trial.id for trial in trials)
    finished = [record for record in found.records.values() if record.status in FINISHED]
    archived.refused += found.problems().values()
    if not finished and not archived.refused:
        none = "the one trial has not" if len(trials) == 1 else f"none of the {len(trials)} trials has"
        raise RecordError(f"{results}: {none} finished; run the sweep first")
    standing = [record for record in Store(target).survey().records.values() if record.status in FINISHED]
    asked = {record.trial_id for record in finished}
    best = best_seeds({record.trial_id: record for record in (*finished, *standing)}.values())
    for record in finished:
        _copy(record, best=best, source=source, target=target, archived=archived)
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
    best: dict[str, Record] = {}
    for record in records:
        if record.status != "ok" or record.quality is None:
            continue
        configuration = _configuration(record)
        have = best.get(configuration)
        if have is None or _goes_before(record, have):
            best[configuration] = record
    return frozenset(record.trial_id for record in best.values())


def _configuration(record: Record) -> str:
    return record.trial.model_copy(update={"seed": 0}).id


def _goes_before(record: Record, other: Record) -> bool:
    sign = -1.0 if record.higher_is_better else 1.0
    return (sign * (record.quality or 0.0), record.trial.seed) < (sign * (other.quality or 0.0), other.trial.seed)


def _copy(record: Record, *, best: Container[str], source: Store, target: Path, archived: Archived) -> None:
    folder, store = source.folder_of(record.trial_id), Store(target)
    there = store.survey([record.trial_id])
    place, have = store.folder_of(record.trial_id), there.records.get(record.trial_id)
    if record.trial_id in there.left_alone:
        archived.refused.append(there.left_alone[record.trial_id])
        return
    if have is not None and have != record and have.status in FINISHED:
        archived.refused.append(f"{folder}: differs from {place}, and both finished; delete the one not wanted")
        return
    names = of_trial(folder, record.files)
    if have == record and not (place / LEFT_OUT).exists():  # no archive left it, and it may be the only whole one
        if off := [path for name in names if not is_sound(path := place / name, record.files)]:
            archived.refused.append(f"{off[0]}: is not the file that {folder} tells of; delete {place}")
        else:
            archived.skipped.append(record.trial_id)
        return
    kept = (*OF_ALL, PARAMETERS_OF[record.reported]) if record.trial_id in best else OF_ALL
    origins: dict[FileName, Path] = {}
    for name in names:
        if name not in kept:
            continue
        paths = [folder / name, *([place / name] if have == record else [])]  # either may be an archive without it
        if sound := [path for path in paths if is_sound(path, record.files)]:
            origins[name] = sound[0]
        elif problem := disagreement(folder / name, record.files):
            archived.refused.append(problem)
            return
    absent = [name for name in names if name not in origins]
    if (
        have == record
        and left_out(place) == set(absent)
        and all(is_sound(place / name, record.files) for name in origins)
    ):
        archived.skipped.append(record.trial_id)
        return
    if record.trial_id in there.damaged and not (place / LEFT_OUT).exists():
        store.set_aside(record.trial_id, reason=there.damaged[record.trial_id])
    incoming, before = (target / f".{when}-{record.trial_id}" for when in ("incoming", "before"))
    with disk_explained(incoming):
        for left in (incoming, before):  # by a copy that was killed
            shutil.rmtree(left, ignore_errors=True)
        incoming.mkdir(parents=True)
        try:
            for name, origin in origins.items():
                shutil.copy2(origin, incoming / name)
            write_left_out(incoming, absent)
            write_text(incoming / RECORD, encode(record))
            place.parent.mkdir(exist_ok=True)
            if place.exists():
                place.rename(before)
            incoming.rename(place)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
            with suppress(OSError):  # there may have been none
                remove_folder(before)
    archived.copied.append(record.trial_id)
