"""What the user reads when the disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
