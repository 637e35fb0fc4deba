"""The files beside a record: it tells their checksums, and whatever differs is named and not taken over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from bench.records.files import FILES, LEFT_OUT, disagreements, left_out
from bench.records.record import Record
from bench.records.store import Store, write_arrays, write_curve
from bench.records.upkeep.merge import merge
from bench.records.upkeep.verify import findings
from tests.bench.records.test_records import record, rewrite, trial


def store_whole(store: Store, **changes: object) -> Path:
    """A record with every file that one may leave; returns its folder."""
    folder = store.folder_of(trial().id)
    folder.mkdir(parents=True)
    for name in FILES:
        if name == "curve.csv":
            write_curve(folder / name, [{"step": 1, "quality": 0.5}])
        else:
            write_arrays(folder / name, {"values": np.arange(3)})
    store.write(record(trial(), finished="", **changes))
    return folder


def read(store: Store) -> Record:
    have = store.read(trial().id)
    assert have is not None
    return have


def flip(path: Path) -> None:
    """Changes one bit."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_record_tells_every_file_that_is_beside_it(tmp_path: Path) -> None:
    folder = store_whole(Store(tmp_path))
    files = read(Store(tmp_path)).files
    assert tuple(files) == FILES
    assert all(len(checksum) == 64 for checksum in files.values())
    assert disagreements(folder, files) == {}
    assert findings(tmp_path) == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", ["changed", "gone", "a link"])
def test_a_file_that_is_not_what_was_written_is_named(name: str, what: str, tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path / "a"), Store(tmp_path / "b")
    path = store_whole(theirs) / name
    if what == "changed":
        flip(path)
    elif what == "gone":
        path.unlink()
    else:
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
    said = {"changed": "was changed after it was written", "gone": "is gone, though", "a link": "is a link"}[what]
    (found,) = findings(theirs.results)
    assert found.startswith(f"{path}: {said}")
    merged = merge(ours.results, theirs.results)
    assert merged.refused == [found]
    assert ours.trial_ids() == []


def test_a_pipe_in_the_place_of_a_file_is_named_and_its_trial_refused_alone(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path / "a"), Store(tmp_path / "b")
    path = store_whole(theirs) / "gates.npz"
    theirs.write(record(trial(seed=1)))
    path.unlink()
    os.mkfifo(path)
    merged = merge(ours.results, theirs.results)
    assert merged.copied == [trial(seed=1).id]
    assert merged.refused == [f"{path}: is no file that can be read; the trial is left where it is"]
    assert findings(theirs.results) == [f"{path}: cannot be read (it is no regular file)"]


@pytest.mark.parametrize(("flag", "value"), [(6, 1), (8, 99)], ids=["encrypted", "compressed in a way of its own"])
def test_a_damaged_archive_that_no_record_tells_of_is_named(flag: int, value: int, tmp_path: Path) -> None:
    path = store_whole(Store(tmp_path)) / "checkpoint-5.npz"
    write_arrays(path, {"values": np.arange(3)})
    content = bytearray(path.read_bytes())
    for header, place in ((b"PK\x03\x04", flag), (b"PK\x01\x02", flag + 2)):
        content[content.find(header) + place] = value
    path.write_bytes(content)
    (found,) = findings(tmp_path)
    assert found.startswith(f"{path}: cannot be read (")


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", '[["curve.csv"]]'])
def test_what_an_archive_left_out_is_believed_only_as_a_list_of_names(text: str, tmp_path: Path) -> None:
    path = store_whole(Store(tmp_path)) / LEFT_OUT
    path.write_text(text)
    assert left_out(path.parent) == frozenset()
    assert findings(tmp_path) == []


def test_a_merge_carries_the_checksums(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path / "a"), Store(tmp_path / "b")
    store_whole(theirs)
    assert merge(ours.results, theirs.results).copied == [trial().id]
    assert read(ours) == read(theirs)
    assert findings(ours.results) == []


def test_a_record_from_before_checksums_were_told_is_read_and_merged_as_it_is(tmp_path: Path) -> None:
    ours, theirs = Store(tmp_path / "a"), Store(tmp_path / "b")
    path = store_whole(theirs) / "record.json"
    content = json.loads(path.read_text())
    del content["files"]
    path.write_text(json.dumps(content))
    rewrite_sealed(path)
    assert read(theirs).files == {}
    flip(path.with_name("curve.csv"))
    assert findings(theirs.results) == []
    for expected in (([trial().id], []), ([], [trial().id])):
        merged = merge(ours.results, theirs.results)
        assert (merged.copied, merged.skipped) == expected
        assert not merged.refused


def rewrite_sealed(path: Path) -> None:
    """Gives a record the checksum of what it holds now."""
    from bench.records.format import checksum

    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))


def test_a_record_that_tells_of_other_places_is_not_believed(tmp_path: Path) -> None:
    path = store_whole(Store(tmp_path)) / "record.json"
    rewrite(path, files={"../../elsewhere": "0" * 64})
    rewrite_sealed(path)
    assert "elsewhere" in Store(tmp_path).survey().damaged[trial().id]
