"""Joining stores, taking in old folders, and checking all of it: nothing lost, nothing silent."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import RecordError
from bench.records.files import FILES, left_out, write_left_out
from bench.records.format import SCHEMA
from bench.records.listing import Listing, read_listing, write_listing
from bench.records.running.attempt import Attempt, attempts
from bench.records.running.leases import take_lease
from bench.records.store import Store, write_arrays
from bench.records.upkeep.adopt import adopt
from bench.records.upkeep.merge import merge
from bench.records.upkeep.verify import findings
from tests.bench.records.test_leases import held_by, taken
from tests.bench.records.test_records import flat, record, rewrite, trial

EARLY, LATE = "2018-04-30T12:00:00+00:00", "2018-05-01T12:00:00+00:00"


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store]:
    (tmp_path / "b" / "trials").mkdir(parents=True)
    return Store(tmp_path / "a"), Store(tmp_path / "b")


def fill(store: Store, seed: int, **changes: Any) -> Path:
    """Stores a record with a file beside it; returns its folder."""
    path = store.write(record(trial(seed=seed), **changes))
    write_arrays(path.with_name("best.npz"), {"weights": np.full(3, seed)})
    return path.parent


def quality(store: Store, seed: int) -> float | None:
    have = store.read(trial(seed=seed).id)
    assert have is not None
    return have.quality


def test_the_missing_are_copied_with_their_files_and_the_equal_skipped(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    for store in stores:
        fill(store, 0, quality=0.5)
    folder = fill(theirs, 1, quality=0.25)
    write_listing(theirs.results, Listing(sweep="mine", trials=(trial(seed=1).id,)))
    merged = merge(ours.results, theirs.results)
    assert (merged.copied, merged.skipped, merged.refused) == ([trial(seed=1).id], [trial().id], [])
    assert ours.read(trial(seed=1).id) == theirs.read(trial(seed=1).id)
    copy = ours.folder_of(trial(seed=1).id) / "best.npz"
    assert copy.read_bytes() == (folder / "best.npz").read_bytes()
    assert read_listing(ours.results, "mine") == read_listing(theirs.results, "mine")
    assert not findings(ours.results)


def test_a_finished_record_goes_before_one_that_failed_whichever_is_later(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    fill(ours, 0, status="failed", finished=LATE)
    fill(theirs, 0, quality=0.25, finished=EARLY)
    fill(ours, 1, quality=0.25, finished=EARLY)
    fill(theirs, 1, status="failed", finished=LATE)
    merged = merge(ours.results, theirs.results)
    assert (merged.copied, merged.skipped) == ([trial(seed=0).id], [trial(seed=1).id])
    assert [quality(ours, seed) for seed in (0, 1)] == [0.25, 0.25]


def test_of_two_records_that_did_not_finish_the_later_one_stands(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    for seed, (here, there) in enumerate(((EARLY, LATE), (LATE, EARLY))):
        fill(ours, seed, status="failed", error="ours", finished=here)
        fill(theirs, seed, status="failed", error="theirs", finished=there)
    merged = merge(ours.results, theirs.results)
    assert (merged.copied, merged.skipped) == ([trial(seed=0).id], [trial(seed=1).id])
    assert [ours.survey().records[trial(seed=seed).id].error for seed in (0, 1)] == ["theirs", "ours"]


def test_a_finished_trial_brings_no_checkpoint_of_the_run_it_ends(stores: tuple[Store, Store]) -> None:
    mine, other = stores
    cut_off = mine.results / "running" / f"{trial().id}-token"
    cut_off.mkdir(parents=True)
    (cut_off / "checkpoint-4.npz").write_bytes(b"what a stopped run would go on from")
    other.write(record(trial()))
    assert merge(mine.results, other.results).copied == [trial().id]
    assert not list(mine.results.rglob("checkpoint-*"))


def test_of_two_finished_records_that_differ_neither_is_taken(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    fill(ours, 0, quality=0.5)
    folder = fill(theirs, 0, quality=0.25)
    merged = merge(ours.results, theirs.results)
    assert len(merged.refused) == 1
    assert f"{folder}: differs from {ours.folder_of(trial().id)}" in merged.refused[0]
    assert quality(ours, 0) == 0.5


def test_a_damaged_record_is_not_taken_in_but_replaced(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    for store, damaged in ((theirs, 0), (ours, 1)):
        for seed in (0, 1):
            fill(store, seed, quality=0.25)
            if seed == damaged:
                rewrite(store.folder_of(trial(seed=seed).id) / "record.json", quality=0.0)
    merged = merge(ours.results, theirs.results)
    assert merged.copied == [trial(seed=1).id]
    assert ["was changed after" in refusal for refusal in merged.refused] == [True]
    assert quality(ours, 1) == 0.25
    assert (ours.results / "quarantine" / f"{trial(seed=1).id}-1" / "reason.txt").is_file()


def test_a_trial_that_runs_is_not_disturbed(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    fill(theirs, 0)
    assert take_lease(ours.results, trial().id) is not None
    merged = merge(ours.results, theirs.results)
    assert "the trial runs at the moment" in merged.refused[0]
    assert ours.read(trial().id) is None


def test_a_folder_without_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no trials"):
        merge(tmp_path / "a", tmp_path / "b")


def whole(store: Store, seed: int) -> Path:
    """A trial whose record tells of its files, with a log; returns its folder."""
    folder = store.folder_of(trial(seed=seed).id)
    folder.mkdir(parents=True)
    for name in FILES[1:]:
        write_arrays(folder / name, {"weights": np.full(3, seed)})
    (folder / "log.txt").write_text("begun\n")
    store.write(record(trial(seed=seed), finished=""))
    return folder


def in_part(store: Store, seed: int, lacking: tuple[str, ...], *, said: bool) -> Path:
    """The same trial without some of its files, as an archive leaves it or as one that lost them."""
    folder = whole(store, seed)
    for name in (*lacking, "log.txt"):
        (folder / name).unlink()
    if said:
        write_left_out(folder, [name for name in FILES if name in lacking])
    return folder


@pytest.mark.parametrize("said", [True, False], ids=["left out", "gone"])
def test_files_that_the_same_trial_lacks_here_are_taken_in(stores: tuple[Store, Store], said: bool) -> None:
    ours, theirs = stores
    place, folder = in_part(ours, 0, ("best.npz", "final.npz"), said=said), whole(theirs, 0)
    (folder / "record.json").write_bytes((place / "record.json").read_bytes())  # of the same date
    (place / "steps.npz").write_bytes(b"damaged")
    (folder / "gates.npz").unlink()
    merged = merge(ours.results, theirs.results)
    assert (merged.copied, merged.skipped, merged.refused) == ([trial().id], [], [])
    assert findings(ours.results) == []
    assert {path.name for path in place.iterdir()} == {"record.json", "log.txt", *FILES[1:]}
    assert not attempts(ours.results)
    assert merge(ours.results, theirs.results).skipped == [trial().id]


def test_what_an_archive_still_lacks_stays_listed(stores: tuple[Store, Store]) -> None:
    ours, theirs = stores
    place = in_part(ours, 0, ("best.npz", "final.npz"), said=True)
    folder = in_part(theirs, 0, ("steps.npz", "final.npz"), said=True)
    (folder / "record.json").write_bytes((place / "record.json").read_bytes())
    assert merge(ours.results, theirs.results).copied == [trial().id]
    assert left_out(place) == {"final.npz"}
    assert findings(ours.results) == []


def test_an_old_folder_goes_only_where_all_of_it_stands_in_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folders = [old(tmp_path, "mine", seed) for seed in (0, 1)]
    for folder in folders:
        write_arrays(folder / "best.npz", {"weights": np.ones(3)})
        shutil.copytree(folder, store.folder_of(folder.name))
    (store.folder_of(folders[0].name) / "best.npz").unlink()
    (store.folder_of(folders[1].name) / "curve.csv").write_text("other\n")
    merged = adopt(tmp_path)
    assert merged.copied == [folders[0].name]
    assert (store.folder_of(folders[0].name) / "best.npz").is_file()
    assert [folder.exists() for folder in folders] == [False, True]
    (line,) = merged.refused
    assert line.startswith(f"{folders[1] / 'curve.csv'}: is not in {store.folder_of(folders[1].name)}")


def test_an_old_folder_that_is_a_link_is_taken_in_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    results = tmp_path / "results"
    folder = old(tmp_path / "elsewhere", "mine", 0)
    (results / "mine").mkdir(parents=True)
    (results / "mine" / folder.name).symlink_to(folder)
    assert adopt(results).copied == [folder.name]
    assert not (results / "mine").exists()
    assert (folder / "record.json").is_file()


def test_what_a_desktop_leaves_among_the_leases_is_no_lease(tmp_path: Path) -> None:
    fill(Store(tmp_path), 0)
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / ".DS_Store").touch()
    assert findings(tmp_path) == []


def old(results: Path, sweep: str, seed: int, **changes: Any) -> Path:
    """A trial as it once stood: in its sweep's folder, with a record that has no version."""
    made = record(trial(seed=seed), **changes)
    folder = results / sweep / made.trial_id
    folder.mkdir(parents=True)
    fields = flat(made)
    for name in ("data_fingerprint", "command", "workers", "processor_load"):
        del fields[name]
    (folder / "record.json").write_text(json.dumps({**fields, "sweep": sweep}))
    (folder / "curve.csv").write_text("step\n")
    return folder


def test_old_folders_are_taken_in_once(tmp_path: Path) -> None:
    for seed in (0, 1):
        old(tmp_path, "mine", seed, quality=0.25)
    old(tmp_path, "yours", 1, quality=0.25)
    assert len(findings(tmp_path)) == 3
    merged = adopt(tmp_path)
    store = Store(tmp_path)
    assert sorted(merged.copied) == sorted(store.trial_ids()) == sorted(trial(seed=seed).id for seed in (0, 1))
    assert (merged.skipped, merged.refused) == ([trial(seed=1).id], [])
    assert quality(store, 0) == 0.25
    assert (store.folder_of(trial().id) / "curve.csv").read_text() == "step\n"
    assert not (tmp_path / "mine").exists()
    listing = read_listing(tmp_path, "yours")
    assert listing is not None
    assert listing.trials == (trial(seed=1).id,)
    assert not findings(tmp_path)
    assert adopt(tmp_path).copied == []


def test_what_cannot_be_taken_in_stays_and_is_named(tmp_path: Path) -> None:
    first, other = old(tmp_path, "mine", 0, quality=0.25), old(tmp_path, "yours", 0, quality=0.5)
    damaged = old(tmp_path, "mine", 1)
    (damaged / "record.json").write_text("{")
    empty = old(tmp_path, "mine", 2)
    (empty / "record.json").unlink()
    merged = adopt(tmp_path)
    assert merged.copied == [trial().id]
    assert not first.exists()
    for folder in (other, damaged, empty):
        assert folder.is_dir()
        assert any(refusal.startswith(str(folder)) for refusal in merged.refused)


def test_what_stands_in_the_way_costs_an_old_folder_nothing(tmp_path: Path) -> None:
    """A trial that runs, or has a record of a later version: the folder is the only copy and stays."""
    store = Store(tmp_path)
    later = fill(store, 1)
    rewrite(later / "record.json", schema=SCHEMA + 1, taste="sweet")
    assert take_lease(tmp_path, trial(seed=0).id) is not None
    folders = [old(tmp_path, "mine", seed, quality=0.25) for seed in (0, 1)]
    merged = adopt(tmp_path)
    assert (merged.copied, merged.skipped) == ([], [])
    assert len(merged.refused) == 2
    for said in ("the trial runs at the moment", "written by a later version"):
        assert sum(said in refusal for refusal in merged.refused) == 1
    assert all((folder / "record.json").is_file() for folder in folders)


def test_a_sound_store_has_no_findings(tmp_path: Path) -> None:
    fill(Store(tmp_path), 0)
    lease = taken(tmp_path, trial(seed=1).id)
    Attempt(tmp_path, lease=lease).start()
    assert findings(tmp_path) == []


def test_each_thing_that_is_off_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    off = []
    edited = fill(store, 0)
    rewrite(edited / "record.json", quality=0.0)
    off.append(f"{edited}/record.json: was changed after it was written")
    (fill(store, 1) / "record.json").unlink()
    off.append(f"{store.folder_of(trial(seed=1).id)}: holds no record")
    arrays = fill(store, 2) / "best.npz"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 0xFF
    arrays.write_bytes(content)
    off.append(f"{arrays}: ")
    stale = taken(tmp_path, trial(seed=3).id)
    held_by(stale, process_start=1)
    off.append(f"{stale.path}: who ran the trial is gone")
    cut = tmp_path / "running" / f"{trial(seed=4).id}-0123"
    cut.mkdir(parents=True)
    off.append(f"{cut}: a run that was cut off")
    (tmp_path / "mine.json").write_text("{}")
    off.append(f"{tmp_path}/mine.json: ")
    off.append(f"{old(tmp_path, 'mine', 5)}: a trial in its sweep's folder")
    before = sorted(os.fspath(path) for path in tmp_path.rglob("*"))
    found = findings(tmp_path)
    assert len(found) == len(off)
    for beginning in off:
        assert any(finding.startswith(beginning) for finding in found), beginning
    assert sorted(os.fspath(path) for path in tmp_path.rglob("*")) == before
