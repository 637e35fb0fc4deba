"""Files that are written whole or not at all, and what the user reads when the disk is full."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import DataError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turns an `OSError` of a full disk, raised while `path` is written, into a `DataError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        raise DataError(
            f"{path}: the disk is full ({shutil.disk_usage(place).free:,} bytes are free in {place}); free some "
            f"space or choose another data directory, and run again to go on"
        ) from None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under a temporary name beside it, syncs, and renames: readers see all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
