"""The store on a disk that is full or read-only: nothing finished is harmed, nothing half stays, and it goes on."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DiskError, RecordError
from bench.records.listing import Listing, read_listing, write_listing
from bench.records.running.attempt import Attempt, attempts, check_one_disk
from bench.records.running.leases import LEASES, leased_trials, take_lease
from bench.records.store import Store, write_arrays
from bench.records.upkeep.merge import merge
from bench.records.upkeep.verify import findings
from tests.bench.disks import SmallDisk
from tests.bench.records.test_leases import TRIAL, taken
from tests.bench.records.test_records import record, rewrite, trial

FULL = pytest.raises(DiskError, match="the disk is full")


def test_no_half_lease_stays_on_a_full_disk(small_disk: SmallDisk) -> None:
    results = small_disk.place
    (results / LEASES / TRIAL).mkdir(parents=True)
    small_disk.fill()
    with FULL:
        take_lease(results, TRIAL)
    assert not list((results / LEASES / TRIAL).iterdir())
    small_disk.empty()
    assert taken(results).number == 1


def test_a_lease_is_given_back_on_a_full_disk_too(small_disk: SmallDisk) -> None:
    lease = taken(small_disk.place)
    small_disk.fill()
    lease.beat()
    lease.release(finished=False)
    assert [path.name for path in lease.folder.iterdir()] == ["1.json"]
    assert not leased_trials(small_disk.place)
    small_disk.empty()
    assert taken(small_disk.place).number == 2


def test_a_read_only_disk_takes_no_lease_and_no_sign_of_life(small_disk: SmallDisk) -> None:
    lease = taken(small_disk.place)
    with small_disk.read_only():
        for act in (lease.beat, lambda: take_lease(small_disk.place, "another")):
            with pytest.raises(DiskError, match="read-only"):
                act()
        lease.release(finished=False)
        assert lease.held()
        assert findings(small_disk.place) == []


def test_a_record_without_room_leaves_what_the_trial_goes_on_from(small_disk: SmallDisk) -> None:
    attempt = Attempt(small_disk.place, lease=taken(small_disk.place, trial().id))
    attempt.start()
    (attempt.running / "checkpoint-4.npz").write_bytes(b"state")
    small_disk.fill()
    with FULL:
        attempt.write(record(trial()))
    attempt.end()
    assert [path.name for path in attempt.running.iterdir()] == ["checkpoint-4.npz"]
    assert Store(small_disk.place).trial_ids() == []
    small_disk.empty()
    again = Attempt(small_disk.place, lease=taken(small_disk.place, trial().id))
    again.start()
    assert [path.name for path in again.running.iterdir()] == ["checkpoint-4.npz"]
    again.write(record(trial()))
    assert Store(small_disk.place).read(trial().id) is not None
    assert not attempts(small_disk.place)


def test_a_record_whose_folder_is_gone_is_not_written_by_halves(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    attempt.start()
    attempt.running.rmdir()
    with pytest.raises(DiskError, match="the folder of a running trial is gone"):
        attempt.write(record(trial()))
    assert Store(tmp_path).trial_ids() == []


def test_the_record_that_is_to_be_replaced_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write(record(trial(), status="failed", error="first"))
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    attempt.start()
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path == attempt.running:
            raise OSError(28, "No space left on device", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with FULL:
        attempt.write(record(trial()))
    have = store.read(trial().id)
    assert have is not None
    assert have.error == "first"


def test_a_list_is_the_old_or_the_new_one(small_disk: SmallDisk) -> None:
    write_listing(small_disk.place, Listing(sweep="mine", trials=("a",)))
    small_disk.fill()
    with FULL:
        write_listing(small_disk.place, Listing(sweep="mine", trials=("b",)))
    have = read_listing(small_disk.place, "mine")
    assert have is not None
    assert have.trials == ("a",)


def test_a_damaged_record_stays_where_it_is_when_there_is_no_room_for_the_reason(small_disk: SmallDisk) -> None:
    store = Store(small_disk.place)
    path = store.write(record(trial()))
    rewrite(path, quality=0.0)
    small_disk.fill()
    with FULL:
        store.set_aside(trial().id, reason="edited")
    assert [file.name for file in path.parent.iterdir()] == ["record.json"]


def test_a_merge_stops_in_one_line_and_goes_on_when_there_is_room(small_disk: SmallDisk, tmp_path: Path) -> None:
    ours, theirs = Store(small_disk.place), Store(tmp_path / "theirs")
    noise = np.random.default_rng(0).random(100_000)
    trials = [trial(seed=seed) for seed in range(3)]
    for made in trials:
        folder = theirs.folder_of(made.id)
        folder.mkdir(parents=True)
        write_arrays(folder / "best.npz", {"noise": noise})
        theirs.write(record(made, finished=""))
    small_disk.fill(leaving=1_200_000)
    with pytest.raises(DiskError, match="the disk is full") as raised:
        merge(ours.results, theirs.results)
    assert len(str(raised.value).splitlines()) == 1
    assert str(raised.value).startswith(f"{ours.results}/"), "the disk that is full is named, not the other"
    first, *_ = sorted(made.id for made in trials)
    assert ours.trial_ids() == [first], "what was taken in before stays"
    assert ours.read(first) == theirs.read(first)
    assert not attempts(small_disk.place)
    assert findings(small_disk.place) == findings(theirs.results) == []
    small_disk.empty()
    merged = merge(ours.results, theirs.results)
    assert (len(merged.copied), merged.skipped, merged.refused) == (2, [first], [])
    assert findings(small_disk.place) == []


def test_a_merge_that_fails_keeps_what_a_stopped_trial_goes_on_from(small_disk: SmallDisk, tmp_path: Path) -> None:
    theirs = Store(tmp_path)
    folder = theirs.folder_of(trial().id)
    folder.mkdir(parents=True)
    write_arrays(folder / "best.npz", {"noise": np.random.default_rng(0).random(100_000)})
    theirs.write(record(trial()))
    stopped = small_disk.place / "running" / f"{trial().id}-0123"
    stopped.mkdir(parents=True)
    (stopped / "checkpoint-4.npz").write_bytes(b"state")
    small_disk.fill(leaving=64 * 1024)
    with FULL:
        merge(small_disk.place, theirs.results)
    (kept,) = attempts(small_disk.place)
    assert [path.name for path in kept.iterdir()] == ["checkpoint-4.npz"]


def test_what_cannot_be_read_is_not_taken_for_missing(tmp_path: Path) -> None:
    (tmp_path / "trials" / trial().id / "record.json").mkdir(parents=True)
    with pytest.raises(RecordError, match="cannot be read"):
        Store(tmp_path).read(trial().id)


@pytest.mark.parametrize("name", ["trials", "running", "quarantine"])
def test_a_results_folder_on_two_disks_is_told_before_anything_runs(small_disk: SmallDisk, name: str) -> None:
    results = small_disk.place.with_name("results")
    results.mkdir()
    check_one_disk(results)
    (results / name).symlink_to(small_disk.place)
    with pytest.raises(DiskError, match=r"another disk than .*; keep the whole results folder on one disk"):
        check_one_disk(results)


def test_a_record_that_cannot_go_to_another_disk_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, places = Path.rename, (tmp_path / "trials" / trial().id,)

    def on_two_disks(path: Path, target: Path) -> Path:
        if target in places:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path), None, str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", on_two_disks)
    attempt = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    attempt.start()
    with pytest.raises(DiskError, match="it would go to another disk; keep the whole results folder on one disk"):
        attempt.write(record(trial()))
    attempt.end()
    monkeypatch.undo()
    again = Attempt(tmp_path, lease=taken(tmp_path, trial().id))
    again.start()
    assert Store(tmp_path).survey().records == {trial().id: record(trial())}
