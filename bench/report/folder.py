"""The folder of a report, replaced as a whole so that it is never half a report."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """An empty folder to write into; it takes the place of `place` at the end, unless something was raised."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        folder.chmod(0o755)
        yield folder
        _exchange(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exchange(new: Path, place: Path) -> None:
    """Puts a finished folder in its place; what was there comes back if that fails."""
    if not place.exists():
        new.replace(place)
        return
    old = new.with_name(f"{new.name}-old")
    place.replace(old)
    try:
        new.replace(place)
    except OSError:
        old.replace(place)
        raise
    shutil.rmtree(old)
