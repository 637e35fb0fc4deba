"""The files of a trial's folder on their way to a machine that does not see the folder, and home again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from bench.errors import RecordError
from bench.machine.disk import disk_explained, write_atomically
from bench.records.running.lone_folder import HEARTBEAT, TRIAL
from bench.records.store import CHECKPOINTS, EVENTS, SO_FAR

# By path from the folder, with slashes.
Files = Mapping[str, bytes]


def all_files(folder: Path) -> Files:
    """Everything but what tells the command what to do and that it lives, and what is half written."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return _read(folder, (path for path in paths if path.name not in (TRIAL, HEARTBEAT)))


def files_so_far(folder: Path) -> Files:
    """What a trial goes on from, while it runs; the checkpoints first, since what is written before one is as new."""
    checkpoints = sorted(folder.glob(CHECKPOINTS))
    return _read(folder, [*checkpoints, *(folder / name for name in SO_FAR), *sorted((folder / EVENTS).glob("*"))])


def write_files(folder: Path, files: Files) -> None:
    """Writes the files into a folder, each whole or not at all; checkpoints that are not among them go.

    Raises `RecordError` for a path that leads out of the folder, and `DiskError`.
    """
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts:
            raise RecordError(f"{folder}: {name!r} is no file of a trial's folder")
    for name, content in files.items():
        path = folder / name
        if path.parent != folder:  # which is not made again where another run has taken it away
            with disk_explained(path):
                path.parent.mkdir(exist_ok=True)
        write_atomically(path, partial(_write, content=content))
    for checkpoint in folder.glob(CHECKPOINTS):
        if checkpoint.name not in files:
            checkpoint.unlink(missing_ok=True)


def _read(folder: Path, paths: Iterable[Path]) -> Files:
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
        except FileNotFoundError:  # it was replaced meanwhile, or there is none
            continue
    return found


def _write(path: Path, *, content: bytes) -> None:
    path.write_bytes(content)
