"""The prepared form: built once, atomically, and anew when a source changes."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError, DiskError
from bench.data.prepared import content_fingerprint, open_array, prepared_folder
from bench.data.sequences import Sequences, SequenceWriter
from tests.bench.disks import failing


class Builder:
    """Writes one array and counts how often it was asked to."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        np.save(folder / "values.npy", np.arange(3))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("one")
    return path


def prepare(source: Path, build, **settings: int) -> Path:
    return prepared_folder(source.parent, "task", files=[source], settings=settings, build=build)


def test_is_built_once_and_again_when_source_or_settings_change(source: Path):
    build = Builder()
    first = prepare(source, build)
    assert prepare(source, build) == first
    assert build.times == 1
    assert prepare(source, build, vocabulary=5) != first
    source.write_text("other")
    assert prepare(source, build) != first
    assert build.times == 3


def test_the_fingerprint_is_of_the_content_wherever_it_was_prepared(source: Path, tmp_path: Path):
    first = content_fingerprint(prepare(source, Builder()))
    source.write_text("changed, though what is made of it is not")
    assert content_fingerprint(prepare(source, Builder())) == first
    other = content_fingerprint(prepare(source, lambda folder: np.save(folder / "values.npy", np.arange(4)), size=4))
    assert other != first
    renamed = prepare(source, lambda folder: np.save(folder / "others.npy", np.arange(3)), size=3)
    assert content_fingerprint(renamed) != first


def test_the_fingerprint_of_files_prepared_before_there_was_one(source: Path):
    folder = prepare(source, Builder())
    known = content_fingerprint(folder)
    (folder / "content.sha256").unlink()
    assert content_fingerprint(folder) == known


def test_a_build_that_fails_leaves_nothing(source: Path):
    def failing(folder: Path) -> None:
        np.save(folder / "values.npy", np.arange(3))
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        prepare(source, failing)
    assert list((source.parent / "prepared" / "task").iterdir()) == []


def test_of_two_builds_at_once_the_first_to_finish_wins(source: Path):
    inner = Builder()

    def racing(folder: Path) -> None:
        prepare(source, inner)
        np.save(folder / "values.npy", np.arange(3))

    folder = prepare(source, racing)
    np.testing.assert_array_equal(open_array(folder / "values.npy"), np.arange(3))
    assert list(folder.parent.iterdir()) == [folder]


KILLED = """
import os, signal, sys
from pathlib import Path
from bench.data.prepared import prepared_folder
def build(folder):
    (folder / "values.npy").touch()
    os.kill(os.getpid(), signal.SIGKILL)
source = Path(sys.argv[1])
prepared_folder(source.parent, "task", files=[source], settings={"size": 1}, build=build)
"""


def test_what_a_killed_build_left_is_removed_by_the_next_of_that_task(source: Path):
    folders = source.parent / "prepared" / "task"
    words = [sys.executable, "-c", KILLED, str(source)]
    assert subprocess.run(words, cwd=Path(__file__).parents[3], check=False).returncode == -signal.SIGKILL
    assert len(list(folders.glob(".*/values.npy"))) == 1
    left_before_there_were_locks = folders / ".0123456789abcdef-0s08kota"
    left_before_there_were_locks.mkdir()
    folder = prepare(source, Builder(), size=2)
    assert list(folders.iterdir()) == [folder]


def test_where_the_disk_knows_no_locks_nothing_is_removed(source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fcntl.flock", failing(errno.ENOLCK))
    inner = Builder()

    def racing(folder: Path) -> None:
        prepare(source, inner, size=2)
        np.save(folder / "values.npy", np.arange(3))

    prepare(source, racing)


def test_a_full_disk_is_told(source: Path):
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskError, match="the disk is full"):
        prepare(source, full)


def test_a_damaged_array_is_named(source: Path):
    path = prepare(source, Builder()) / "values.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"values\.npy: cannot be read .* delete"):
        open_array(path)


def write_sequences(folder: Path, lengths: tuple[int, ...]) -> Sequences:
    with SequenceWriter(folder, "features", step_shape=(2,), dtype=np.float32) as writer:
        for row, length in enumerate(lengths):
            writer.add(np.stack([np.full(length, row + 1), np.arange(length)], axis=1))
    return Sequences(folder, "features")


def test_sequences_are_cropped_padded_and_masked(tmp_path: Path):
    sequences = write_sequences(tmp_path, (3, 1, 6))
    np.testing.assert_array_equal(sequences.lengths(), [3, 1, 6])
    assert open_array(tmp_path / "features.npy").shape == (10, 2)
    steps, mask = sequences.padded(np.array([2, 1, 0]), length=4)
    np.testing.assert_array_equal(steps[:, :, 0], [[3, 3, 3, 3], [2, 0, 0, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])
    strided, mask = sequences.padded(np.array([2, 0]), length=4, stride=2)
    np.testing.assert_array_equal(strided[:, :, 1], [[0, 2, 4, 0], [0, 2, 0, 0]])
    np.testing.assert_array_equal(mask.sum(axis=1), [3, 2])
    front, _ = sequences.padded(np.array([0]), length=4, front=True)
    np.testing.assert_array_equal(front[0, :, 0], [0, 1, 1, 1])


def test_reading_sequences_maps_the_file_instead_of_loading_it(tmp_path: Path):
    sequences = write_sequences(tmp_path, (3, 1, 6))
    steps = sequences.sequence(0, length=3)
    while isinstance(steps.base, np.ndarray) and not isinstance(steps, np.memmap):
        steps = steps.base
    assert isinstance(steps, np.memmap)
