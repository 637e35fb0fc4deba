"""The prepared form of a data set: `.npy` arrays that trials map into memory, built once and atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.machine.disk import write_atomically
from bench.machine.whole_folders import write_folder
from impls.contract import Array

CONTENT = "content.sha256"


def fingerprint(files: Iterable[Path], *, settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits over the files' paths, sizes and times of change, and over the settings.

    Raises `DataError` naming a file that cannot be looked at, such as a link that leads nowhere.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        # A name need not be UTF-8: Python has bytes that are none as surrogates.
        digest.update(f"{path};{stat.st_size};{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def prepared_folder(
    data: Path,
    task: str,
    *,
    files: Iterable[Path],
    settings: Mapping[str, Any],
    build: Callable[[Path], None],
) -> Path:
    """The folder `data/prepared/<task>/<fingerprint>/`, built first where it is not there yet.

    A changed, added or removed source file, or another setting, gives another folder; old ones may be deleted.

    Args:
        data: the data directory.
        task: whose data these are.
        files: every source file that the arrays are made of.
        settings: whatever else decides what the arrays hold.
        build: writes the arrays into the folder it is given. Processes that build at the same time do not disturb
            each other: the first to finish wins.
    """
    folder = data / "prepared" / task / fingerprint(files, settings=settings)
    if folder.is_dir():
        return folder

    def write(temporary: Path) -> None:
        build(temporary)
        content_fingerprint(temporary)

    write_folder(folder, write)
    return folder


def content_fingerprint(folder: Path) -> str:
    """64 hexadecimal digits over the names and contents of prepared files, the same wherever they were prepared.

    Kept in a file beside them: data sets are too large to be read for every trial.
    """
    kept = folder / CONTENT
    if not kept.is_file():
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            digest.update(f"{path.name};{path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        text = digest.hexdigest()

        def write(temporary: Path) -> None:
            temporary.write_text(text, encoding="utf-8")

        write_atomically(kept, write)
    return kept.read_text(encoding="utf-8")


def open_array(path: Path) -> Array:
    """An array of a prepared folder, mapped into memory and read-only. Raises `DataError` where it is damaged."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete {path.parent} and run again") from None
    return array
