"""The rooms of the project, and which tests have to notice a mutant of which file: what rooms.toml says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("rooms.toml")
# The compiled kernels are told from their oracle, operation by operation, in tests/impls/pytorch/test_kernels.py.
LEFT_OUT = "impls/pytorch/engines/kernels/"


@dataclass(frozen=True)
class Room:
    """One entry of rooms.toml."""

    name: str
    files: tuple[str, ...]  # patterns, from the root
    tests: tuple[str, ...]  # pytest's arguments


def read_rooms() -> list[Room]:
    """The entries in their order: a file belongs to the first that names it."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))["room"]
    return [Room(entry["name"], tuple(entry["files"]), tuple(entry["tests"])) for entry in table]


def sources() -> list[str]:
    """The files to be broken, from the root: all of `bench/` and `impls/` but the compiled kernels."""
    paths = [
        path.relative_to(ROOT).as_posix() for room in ("bench", "impls") for path in ROOT.joinpath(room).rglob("*.py")
    ]
    return sorted(path for path in paths if not path.startswith(LEFT_OUT))


def room_of(path: str) -> Room:
    """The room that a file stands in.

    Raises:
        LookupError: no entry names it.
    """
    for room in read_rooms():
        # Patterns are matched a folder at a time: `*` in pathlib leaves `/` alone, as fnmatch does not.
        if any(pattern.count("/") == path.count("/") and Path(path).match(pattern) for pattern in room.files):
            return room
    raise LookupError(f"{path} stands in no room of {TABLE.name}: name it there, with its tests")
