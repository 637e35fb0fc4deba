"""Archives: what is kept of a sweep, that it can be verified, and that parameters are those of the best seed."""

from __future__ import annotations

import errno
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DiskError, RecordError
from bench.plan.trial import Trial
from bench.records.files import FILES, LEFT_OUT, left_out
from bench.records.listing import read_listing
from bench.records.running.leases import take_lease
from bench.records.store import Store, write_arrays, write_curve
from bench.records.upkeep import archive as archives
from bench.records.upkeep.archive import OF_ALL, Archived, archive, best_seeds
from bench.records.upkeep.merge import merge
from bench.records.upkeep.verify import findings
from tests.bench.records.test_records import record, rewrite, trial

SEEDS = [trial(seed=seed) for seed in range(3)]
ERRORS = (0.3, 0.1, 0.2)  # of adding: lower is better


def fill(store: Store, made: Trial, **changes: object) -> Path:
    """A trial with every file that one may leave; returns its folder."""
    folder = store.folder_of(made.id)
    folder.mkdir(parents=True, exist_ok=True)
    write_curve(folder / "curve.csv", [{"step": 1, "quality": 0.5}])
    for name in FILES[1:]:
        write_arrays(folder / name, {"values": np.arange(made.seed + 3)})
    store.write(record(made, finished="", **changes))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    for made, quality in zip(SEEDS, ERRORS, strict=True):
        fill(store, made, quality=quality)
    return store


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"record.json", LEFT_OUT}


def kept(tmp_path: Path, made: Trial) -> set[str]:
    return names(Store(tmp_path / "kept").folder_of(made.id))


def test_parameters_of_the_best_seed_are_kept_and_curves_and_gates_of_all(store: Store, tmp_path: Path) -> None:
    done = archive("mine", SEEDS, results=store.results, target=tmp_path / "kept")
    assert (done.copied, done.skipped, done.refused) == ([made.id for made in SEEDS], [], [])
    assert [kept(tmp_path, made) for made in SEEDS] == [set(OF_ALL), {*OF_ALL, "final.npz"}, set(OF_ALL)]
    assert Store(tmp_path / "kept").survey().records == store.survey().records
    listing = read_listing(tmp_path / "kept", "mine")
    assert listing is not None
    assert listing.trials == tuple(made.id for made in SEEDS)


def test_parameters_are_those_that_the_reported_numbers_are_of(store: Store, tmp_path: Path) -> None:
    digits = trial(task="digits")
    fill(store, digits, quality=0.9, reported="best_validation")
    archive("mine", [SEEDS[1], digits], results=store.results, target=tmp_path / "kept")
    assert [kept(tmp_path, made) for made in (SEEDS[1], digits)] == [{*OF_ALL, "final.npz"}, {*OF_ALL, "best.npz"}]


def test_the_best_seed_is_by_direction_and_of_one_configuration_and_framework() -> None:
    higher = [trial(task="digits", seed=seed) for seed in range(3)]
    records = [record(made, quality=quality) for made, quality in zip(higher, (0.7, 0.9, 0.9), strict=True)]
    other = record(trial(task="digits", framework="tensorflow", seed=5), quality=0.1)
    failed = record(trial(task="digits", seed=3), quality=0.95, status="diverged")
    assert best_seeds([*reversed(records), other, failed]) == {higher[1].id, other.trial_id}


def test_an_archive_verifies_until_more_is_gone_than_it_says(store: Store, tmp_path: Path) -> None:
    archive("mine", SEEDS, results=store.results, target=tmp_path / "kept")
    assert findings(tmp_path / "kept") == []
    folder = Store(tmp_path / "kept").folder_of(SEEDS[1].id)
    (folder / "final.npz").unlink()
    assert [line for line in findings(tmp_path / "kept") if "final.npz: is gone" in line]
    (folder / LEFT_OUT).write_text("{")
    assert len(findings(tmp_path / "kept")) == 3  # the others too, now that nothing says that they were left out


def test_the_same_again_copies_nothing_and_mends_what_is_damaged(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    archive("mine", SEEDS, results=store.results, target=target)
    assert archive("mine", SEEDS, results=store.results, target=target).skipped == [made.id for made in SEEDS]
    (Store(target).folder_of(SEEDS[0].id) / "gates.npz").write_bytes(b"")
    rewrite(Store(target).folder_of(SEEDS[2].id) / "record.json", quality=0.0)
    assert archive("mine", SEEDS, results=store.results, target=target).copied == [SEEDS[0].id, SEEDS[2].id]
    assert findings(target) == []


def test_parameters_follow_a_seed_that_is_better(store: Store, tmp_path: Path) -> None:
    target, better = tmp_path / "kept", trial(seed=3)
    archive("mine", SEEDS, results=store.results, target=target)
    fill(store, better, quality=0.05)
    done = archive("mine", [*SEEDS, better], results=store.results, target=target)
    assert done.copied == [SEEDS[1].id, better.id]
    assert (kept(tmp_path, SEEDS[1]), kept(tmp_path, better)) == (set(OF_ALL), {*OF_ALL, "final.npz"})
    assert findings(target) == []
    assert not [path for path in target.iterdir() if path.name.startswith(".")]


def test_what_differs_and_what_is_damaged_is_refused_by_name(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    fill(Store(target), SEEDS[0], quality=0.31)
    (store.folder_of(SEEDS[2].id) / "curve.csv").write_text("edited")
    done = archive("mine", SEEDS, results=store.results, target=target)
    assert done.copied == [SEEDS[1].id]
    assert ["both finished" in done.refused[0], "was changed after" in done.refused[1]] == [True, True]
    kept_record = Store(target).read(SEEDS[0].id)
    assert kept_record is not None
    assert kept_record.quality == 0.31


def test_what_did_not_finish_stays_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    fill(store, SEEDS[0], status="failed", error="out of memory")
    with pytest.raises(RecordError, match="none of the 3 trials has finished"):
        archive("mine", SEEDS, results=store.results, target=tmp_path / "kept")
    with pytest.raises(RecordError, match="the one trial has not finished"):
        archive("mine", SEEDS[:1], results=store.results, target=tmp_path / "kept")


def test_an_archive_is_archived_and_merged_like_any_other(store: Store, tmp_path: Path) -> None:
    archive("mine", SEEDS, results=store.results, target=tmp_path / "kept")
    archive("mine", SEEDS, results=tmp_path / "kept", target=tmp_path / "again")
    merge(tmp_path / "merged", tmp_path / "again")
    for results in (tmp_path / "again", tmp_path / "merged"):
        assert findings(results) == []
        assert Store(results).survey().records == store.survey().records


@pytest.mark.parametrize("stands", [True, False], ids=["the copy stands", "nothing stands"])
def test_what_a_copy_left_that_was_killed_is_named_and_settled(stands: bool, store: Store, tmp_path: Path) -> None:
    """Between its two renames the only folder of the trial has gone aside, and the new one is not there."""
    target, changed = tmp_path / "kept", SEEDS[1].id
    archive("mine", SEEDS, results=store.results, target=target)
    place = Store(target).folder_of(changed)
    shutil.copytree(place, target / f".before-{changed}")
    shutil.copytree(place, target / f".incoming-{changed}")
    shutil.rmtree(place)
    if stands:
        shutil.copytree(target / f".before-{changed}", place)
    becomes = "removes it" if stands else f"makes it {place} again"
    assert [line for line in findings(target) if ".before-" in line] == [
        f"{target / f'.before-{changed}'}: a copy that was cut off; the next archive into this folder {becomes}"
    ]
    assert [line for line in findings(target) if f"{target / f'.incoming-{changed}'}: a copy" in line]
    assert archive("mine", SEEDS[:1], results=store.results, target=target).copied == []
    assert findings(target) == []
    assert kept(tmp_path, SEEDS[1]) == {*OF_ALL, "final.npz"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_copy_that_ends_between_its_renames_leaves_what_stood(
    error: BaseException, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seed that was the best loses its parameters to a better one; by now its only copy is the archive's."""
    target, better, rename = tmp_path / "kept", trial(seed=3), Path.rename
    archive("mine", SEEDS, results=store.results, target=target)
    shutil.rmtree(store.folder_of(SEEDS[1].id))
    fill(store, better, quality=0.05)

    def fails(self: Path, place: Path) -> Path:
        if self.name == f".incoming-{SEEDS[1].id}":
            raise error
        return rename(self, place)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises((KeyboardInterrupt, DiskError)):
        archive("mine", [better], results=store.results, target=target)
    monkeypatch.undo()
    assert (kept(tmp_path, SEEDS[1]), kept(tmp_path, better)) == ({*OF_ALL, "final.npz"}, {*OF_ALL, "final.npz"})
    assert findings(target) == []


@pytest.mark.parametrize("there", ["damaged", "left out"])
def test_parameters_stay_until_those_of_a_better_seed_are_there(there: str, store: Store, tmp_path: Path) -> None:
    target, better = tmp_path / "kept", trial(seed=3)
    archive("mine", SEEDS, results=store.results, target=target)
    parameters = fill(store, better, quality=0.05) / "final.npz"
    sound = parameters.read_bytes()
    if there == "damaged":
        parameters.write_bytes(b"")
    else:
        parameters.unlink()
        (parameters.parent / LEFT_OUT).write_text('["final.npz"]')
    for asked in ([better], [*SEEDS, better]):
        assert len(archive("mine", asked, results=store.results, target=target).refused) == (there == "damaged")
        assert kept(tmp_path, SEEDS[1]) == {*OF_ALL, "final.npz"}
    parameters.write_bytes(sound)
    archive("mine", [better], results=store.results, target=target)
    assert [kept(tmp_path, made) for made in (SEEDS[1], better)] == [set(OF_ALL), {*OF_ALL, "final.npz"}]


def test_a_trial_that_somebody_else_copies_or_runs_there_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "COPY_SECONDS", 0.0)
    target = tmp_path / "kept"
    lease = take_lease(target, SEEDS[1].id)
    assert lease is not None
    place = target / f".incoming-{SEEDS[1].id}"
    place.mkdir()
    assert findings(target) == [], "nothing is off of a copy that is being made"
    done = archive("mine", SEEDS, results=store.results, target=target)
    assert done.copied == [SEEDS[0].id, SEEDS[2].id]
    assert [f"somebody else runs or copies the trial in {target}" in line for line in done.refused] == [True]
    assert place.is_dir()
    lease.release(finished=False)
    assert archive("mine", SEEDS, results=store.results, target=target).copied == [SEEDS[1].id]
    assert findings(target) == []


def test_archives_into_one_folder_at_the_same_time_lose_nothing(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "kept"

    def copy(_: int) -> Archived:
        return archive("mine", SEEDS, results=store.results, target=target)

    with ThreadPoolExecutor(4) as several:
        for done in several.map(copy, range(16)):
            assert len([*done.copied, *done.skipped, *done.refused]) == len(SEEDS)
    assert Store(target).survey().records == store.survey().records
    assert findings(target) == []


def test_a_folder_is_not_archived_in_itself(store: Store) -> None:
    before = {made.id: names(store.folder_of(made.id)) for made in SEEDS}
    with pytest.raises(RecordError, match="name another one"):
        archive("mine", SEEDS, results=store.results, target=store.results / ".." / store.results.name)
    assert {made.id: names(store.folder_of(made.id)) for made in SEEDS} == before


def test_a_trial_that_stands_there_whole_stays_whole(store: Store, tmp_path: Path) -> None:
    whole, kept_apart = tmp_path / "whole", tmp_path / "kept"
    shutil.copytree(store.results, whole)
    archive("mine", SEEDS, results=store.results, target=kept_apart)
    for results in (store.results, kept_apart):
        done = archive("mine", SEEDS, results=results, target=whole)
        assert (done.copied, done.skipped) == ([], [made.id for made in SEEDS])
    assert all(names(Store(whole).folder_of(made.id)) == set(FILES) for made in SEEDS)


def test_a_whole_trial_that_is_damaged_there_is_named_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole")
    shutil.copytree(store.results, whole.results)
    edited, unbelieved = (whole.folder_of(made.id) for made in SEEDS[:2])
    (edited / "curve.csv").write_text("edited")
    rewrite(unbelieved / "record.json", quality=0.0)
    done = archive("mine", SEEDS, results=store.results, target=whole.results)
    assert [str(edited / "curve.csv") in line for line in done.refused] == [True]
    assert names(edited) == set(FILES)
    assert names(whole.results / "quarantine" / f"{SEEDS[1].id}-1") == {*FILES, "reason.txt"}


def test_an_archive_with_less_takes_nothing_from_one_with_more(store: Store, tmp_path: Path) -> None:
    target, less = tmp_path / "kept", tmp_path / "less"
    archive("mine", SEEDS, results=store.results, target=target)
    shutil.copytree(target, less)
    folder = Store(less).folder_of(SEEDS[1].id)
    (folder / "final.npz").unlink()
    (folder / LEFT_OUT).write_text('["steps.npz", "best.npz", "final.npz"]')
    assert archive("mine", SEEDS, results=less, target=target).copied == []
    assert kept(tmp_path, SEEDS[1]) == {*OF_ALL, "final.npz"}


def test_the_files_of_a_record_from_before_they_were_told_are_kept_too(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    store.write(record(SEEDS[1], quality=0.1, files={}))
    (store.folder_of(SEEDS[1].id) / "steps.npz").unlink()
    for results in (store.results, target):
        archive("mine", SEEDS, results=results, target=target if results is store.results else tmp_path / "again")
    for results in (target, tmp_path / "again"):
        folder = Store(results).folder_of(SEEDS[1].id)
        assert names(folder) == {*OF_ALL, "final.npz"}
        assert left_out(folder) == {"best.npz"}
    assert archive("mine", SEEDS, results=store.results, target=target).copied == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_archives_of_parts_keep_one_best_seed(order: tuple[int, int], store: Store, tmp_path: Path) -> None:
    target, parts = tmp_path / "kept", ([SEEDS[0], SEEDS[2]], [SEEDS[1]])
    other = trial(cell="gru")
    fill(store, other, quality=0.5)
    archive("other", [other], results=store.results, target=target)
    for part in order:
        archive("mine", parts[part], results=store.results, target=target)
    assert [kept(tmp_path, made) for made in SEEDS] == [set(OF_ALL), {*OF_ALL, "final.npz"}, set(OF_ALL)]
    assert kept(tmp_path, other) == {*OF_ALL, "final.npz"}
    assert findings(target) == []
