"""A store that is looked at again and again: each look reads what is new, and sees whatever has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.records.format import SCHEMA
from bench.records.seen import SeenRecords
from bench.records.store import Store
from tests.bench.records.test_records import record, rewrite, trial

TRIALS = [trial(seed=seed) for seed in range(3)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose records were read."""
    made: list[str] = []
    read = Store.read

    def told(store: Store, trial_id: str):
        made.append(trial_id)
        return read(store, trial_id)

    monkeypatch.setattr(Store, "read", told)
    return made


def seen(results: Path) -> SeenRecords:
    return SeenRecords(results, [made.id for made in TRIALS])


def test_a_record_is_read_once_and_a_new_one_when_it_comes(tmp_path: Path, reads: list[str]) -> None:
    store, looking = Store(tmp_path), seen(tmp_path)
    looking.look()
    assert looking.endings == {}
    for count, made in enumerate(TRIALS, 1):
        store.write(record(made, total_seconds=float(count)))
        looking.look()
        looking.look()
        assert len(reads) == count
        assert looking.endings[made.id].total_seconds == count
    store.write(record(trial(seed=9)))
    (store.folder_of(made.id) / "record.json").unlink()
    looking.look()
    assert len(reads) == 3, "a trial of no interest is not read"
    assert made.id in looking.endings, "a finished one is not looked at again while its folder stands"


def test_a_failure_is_read_again_when_it_is_replaced_and_a_trial_that_went_is_forgotten(
    tmp_path: Path, reads: list[str]
) -> None:
    store, looking, (made, *_) = Store(tmp_path), seen(tmp_path), TRIALS
    store.write(record(made, status="failed", error="killed"))
    looking.look()
    looking.look()
    assert looking.endings[made.id].status == "failed"
    assert len(reads) == 1
    store.write(record(made))
    looking.look()
    assert looking.endings[made.id].status == "ok"
    shutil.rmtree(store.folder_of(made.id))
    looking.look()
    assert looking.endings == {}
    store.write(record(made, status="diverged"))
    looking.look()
    assert looking.endings[made.id].status == "diverged"


def test_what_is_not_believed_waits_and_what_is_left_alone_is_told_until_they_change(
    tmp_path: Path, reads: list[str]
) -> None:
    store, looking, (damaged, later, _) = Store(tmp_path), seen(tmp_path), TRIALS
    rewrite(store.write(record(damaged)), quality=0.0)
    rewrite(store.write(record(later)), schema=SCHEMA + 1, taste="sweet")
    looking.look()
    looking.look()
    assert sorted(reads) == sorted([damaged.id, later.id])
    assert looking.endings == {}
    assert looking.left_alone == {later.id}
    for made in (damaged, later):
        store.write(record(made))
    looking.look()
    assert looking.endings.keys() == {damaged.id, later.id}
    assert looking.left_alone == set()


def test_a_folder_without_its_record_yet_is_looked_at_again(tmp_path: Path) -> None:
    store, looking, (made, *_) = Store(tmp_path), seen(tmp_path), TRIALS
    store.folder_of(made.id).mkdir(parents=True)
    looking.look()
    assert looking.endings == {}
    store.write(record(made))
    looking.look()
    assert made.id in looking.endings
