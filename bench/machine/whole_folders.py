"""Folders that are written whole or not at all, however large: what a writer left who was killed is removed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.machine.disk import disk_explained

# Beside a folder that is being written, locked by its writer: the lock goes with him.
LOCK = ".lock"
TEMPORARY = f".*-{8 * '?'}"


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder of files under a temporary name beside it, syncs, and renames: readers see all of it or none.

    Those who write the same folder at the same time do not disturb each other: the first to finish wins. What was left
    beside it by somebody who was killed while he wrote this folder or another one is removed first. Raises `DiskError`
    where the disk does not take it.
    """
    with disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        while not _written(path, write):
            pass


def _written(path: Path, write: Callable[[Path], None]) -> bool:
    """Writes the folder under a name of its own, and renames it; False where another took its lock for abandoned.

    The lock is there before the temporary folder, and after it.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    lock = _lock_of(temporary)
    handle = None
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError):  # a disk without locks: then nobody removes what is left
            fcntl.flock(handle, fcntl.LOCK_EX)
        if not os.fstat(handle).st_nlink:  # before it was locked
            return False
        temporary.mkdir()
        write(temporary)
        for file in temporary.iterdir():
            _sync(file)
        temporary.chmod(0o755)
        _publish(temporary, path)
        return True
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        lock.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _lock_of(temporary: Path) -> Path:
    return temporary.with_name(temporary.name + LOCK)


def _publish(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError:
        # Another process was first; what it wrote is the same.
        if not path.is_dir():
            raise


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _remove_abandoned(folder: Path) -> None:
    """Removes the temporary folders, and the locks, whose writers are gone."""
    locks = folder.glob(TEMPORARY + LOCK)
    for temporary in {*folder.glob(TEMPORARY), *(lock.with_name(lock.name.removesuffix(LOCK)) for lock in locks)}:
        lock = _lock_of(temporary)
        try:
            handle = os.open(lock, os.O_RDWR)
        except FileNotFoundError:  # it has just come to its place, or was left before there were locks
            shutil.rmtree(temporary, ignore_errors=True)
            continue
        except OSError:  # another user's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(temporary, ignore_errors=True)
            lock.unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            os.close(handle)
