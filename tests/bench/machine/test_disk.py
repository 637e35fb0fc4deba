"""Files on a disk that is full, read-only, limited or gone: one line, the old file whole, and nothing beside it."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from bench.errors import DiskError
from bench.machine import disk
from bench.machine.disk import copy_folder, disk_explained, write_atomically, write_text
from bench.records.store import write_arrays, write_curve
from bench.train.checkpoint import Checkpoint, Header, write_checkpoint
from tests.bench.disks import SmallDisk

NOISE = np.random.default_rng(0).random(100_000)


def write_saved(path: Path) -> None:
    write_atomically(path, lambda temporary: np.save(temporary, NOISE))


def write_for_now(path: Path) -> None:
    write_atomically(path, lambda temporary: np.save(temporary, NOISE), durable=False)


def write_compressed(path: Path) -> None:
    write_arrays(path, {"noise": NOISE})


def write_state(path: Path) -> None:
    header = Header(trial_id="a", step=1, conditions={}, stretches=(), facts={})
    write_checkpoint(path.parent, Checkpoint(header=header, arrays={"noise": NOISE}))


def write_rows(path: Path) -> None:
    write_curve(path, [{"step": number} for number in range(100_000)])


WRITERS = {
    "checkpoint-1.npz": write_state,
    "array.npy": write_saved,
    "for_now.npy": write_for_now,
    "arrays.npz": write_compressed,
    "curve.csv": write_rows,
}
EACH = pytest.mark.parametrize("name", WRITERS)


def fails(write: Callable[[Path], None], path: Path) -> str:
    """What is said, in one line, where the file cannot be written; the one before it stands as it was, alone."""
    path.write_text("old")
    with pytest.raises(DiskError) as raised:
        write(path)
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    said = str(raised.value)
    assert len(said.splitlines()) == 1
    assert said.startswith(f"{path}: ")
    assert said.endswith("and run again to go on")
    return said


@EACH
def test_on_a_full_disk(name: str, small_disk: SmallDisk) -> None:
    small_disk.fill(leaving=64 * 1024)
    folder = small_disk.place / "folder"
    folder.mkdir()
    said = fails(WRITERS[name], folder / name)
    assert f": the disk is full ({60 * 1024:,} bytes are free in {folder}); free some space" in said
    small_disk.empty()
    WRITERS[name](folder / name)
    assert (folder / name).stat().st_size > 64 * 1024


@EACH
def test_on_a_disk_without_a_byte_left(name: str, small_disk: SmallDisk) -> None:
    folder = small_disk.place / "folder"
    folder.mkdir()
    (folder / name).write_text("old")
    small_disk.fill()
    with pytest.raises(DiskError, match=r"the disk is full \(0 bytes are free"):
        WRITERS[name](folder / name)
    assert (folder / name).read_text() == "old"


@EACH
def test_where_files_may_not_be_so_large(name: str, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        said = fails(WRITERS[name], tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "ulimit -f" in said or "the disk is full" in said, "NumPy does not say why it wrote less than it should"


def test_on_a_read_only_disk(small_disk: SmallDisk) -> None:
    with small_disk.read_only(), pytest.raises(DiskError, match="the disk is read-only; make it writable"):
        write_saved(small_disk.place / "array.npy")


def test_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "array.npy"
    with pytest.raises(DiskError, match="its folder is gone"):
        write_saved(path)
    assert not path.parent.exists(), "it is not made anew: what stood in it would be missed"


def test_what_is_not_the_disks_fault_stays_as_it_is(tmp_path: Path) -> None:
    for error in (
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/elsewhere/file"),
        BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)),
        OSError("damaged"),
    ):
        with pytest.raises(type(error)) as raised, disk_explained(tmp_path / "file"):
            raise error
        assert raised.value is error


class AskedToEndError(BaseException):
    """As a signal's handler raises it, wherever the program is."""


# A file that was open then is closed later, which is of no matter here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_writer_that_is_asked_to_end_between_any_two_instructions_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("old")
    instructions = wholes = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[[FrameType, str, object], object] | None:
        nonlocal instructions
        if frame.f_code.co_filename != disk.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            instructions += 1
            if instructions == last:
                raise AskedToEndError
        return trace

    for last in range(1, 10_000):
        instructions = 0
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            write_text(path, "new")
            break
        except AskedToEndError:
            pass
        finally:
            sys.settrace(before)
        assert [file.name for file in tmp_path.iterdir()] == [path.name], f"ended after {last} instructions"
        assert path.read_text() in ("old", "new")
        wholes += path.read_text() == "new"
        path.write_text("old")
    assert 0 < wholes < last - 100, "it was ended before and after the new file came to its place"
    assert path.read_text() == "new"


def test_a_folder_is_copied_whole_or_not_at_all(small_disk: SmallDisk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    for name in ("one", "inner/two", "record.json"):
        (source / name).write_bytes(b"0" * 40_000)
    (source / "link").symlink_to("/etc/passwd")
    target = small_disk.place / "target"
    small_disk.fill(leaving=64 * 1024)
    with pytest.raises(DiskError, match="the disk is full"):
        copy_folder(source, target, leaving_out="record.json")
    assert not target.exists()
    small_disk.empty()
    copy_folder(source, target, leaving_out="record.json")
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["inner", "inner/two", "link", "one"]
    assert (target / "link").is_symlink(), "what it leads to is not copied"


@pytest.mark.parametrize(("write", "synced"), [(write_saved, ["content", "folder"]), (write_for_now, [])])
def test_what_is_to_outlive_the_machine_is_synced_before_it_has_its_name_and_its_folder_after(
    write: Callable[[Path], None], synced: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, told = tmp_path / "array.npy", []

    def sync(handle: int) -> None:
        of_folder = os.fstat(handle).st_ino == tmp_path.stat().st_ino
        assert path.exists() == of_folder
        assert of_folder or os.fstat(handle).st_size > NOISE.nbytes
        told.append("folder" if of_folder else "content")

    monkeypatch.setattr(os, "fsync", sync)
    write(path)
    assert np.array_equal(np.load(path), NOISE)
    assert told == synced
