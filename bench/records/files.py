"""The files beside a record, by their SHA-256: what the record tells of them, and whether they still are that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

from bench.machine.disk import check_is_file, read_text, write_text
from bench.tasks.base import Reported

# What a record vouches for. Events and the log are for people, and nothing is computed from them.
FileName = Literal["curve.csv", "steps.npz", "gates.npz", "best.npz", "final.npz"]
FILES: tuple[FileName, ...] = get_args(FileName)

# Which parameters a record's reported numbers are of.
PARAMETERS_OF: dict[Reported, FileName] = {"best_validation": "best.npz", "last": "final.npz"}

# Beside a record in an archive: the names of the files that it does without.
LEFT_OUT = "left_out.json"

AGAIN = "delete the trial's folder and run its sweep again"


def checksums(folder: Path) -> dict[FileName, str]:
    """64 hexadecimal digits of each file that is there, by name. Raises `OSError`."""
    return {name: _checksum(folder / name) for name in FILES if (folder / name).is_file()}


def disagreements(folder: Path, told: Mapping[FileName, str]) -> dict[FileName, str]:
    """What is wrong with the files that a record tells of, by name: one line each, which says what to do.

    Args:
        folder: where they stand.
        told: the record's checksums by name; a record from before they were told has none, and nothing is wrong.
    """
    problems = {name: disagreement(folder / name, told) for name in FILES}
    return {name: problem for name, problem in problems.items() if problem}


def disagreement(path: Path, told: Mapping[FileName, str]) -> str:
    """What is wrong with one of these files; empty where it is what its record tells, or the record tells nothing."""
    checksum = next((checksum for name, checksum in told.items() if name == path.name), None)
    if checksum is None:
        return ""
    if path.is_symlink():
        return f"{path}: is a link, not the file that was written; {AGAIN}"
    try:
        found = _checksum(path)
    except FileNotFoundError:
        if path.name in left_out(path.parent):
            return ""
        return f"{path}: is gone, though its record tells of it; {AGAIN}"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror or error})"
    return "" if found == checksum else f"{path}: was changed after it was written (its checksum differs); {AGAIN}"


def is_sound(path: Path, told: Mapping[FileName, str]) -> bool:
    """Whether one of these files is there, and is what its record tells or the record tells nothing."""
    return path.is_file() and not path.is_symlink() and not disagreement(path, told)


def of_trial(folder: Path, told: Mapping[FileName, str]) -> tuple[FileName, ...]:
    """The names of a trial's files: that its record tells of, or else that are there or were left out."""
    without = left_out(folder)
    return tuple(name for name in FILES if (name in told if told else name in without or (folder / name).is_file()))


def left_out(folder: Path) -> frozenset[str]:
    """The files that an archive does without, by name; none where nothing, or nothing sound, says so."""
    try:
        names = json.loads(read_text(folder / LEFT_OUT))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(name for name in FILES if name in names) if isinstance(names, list) else frozenset()


def write_left_out(folder: Path, names: Iterable[str]) -> None:
    """Writes which files an archive does without. Raises `DiskError` where the disk does not take it."""
    write_text(folder / LEFT_OUT, json.dumps(list(names)))


def _checksum(path: Path) -> str:
    check_is_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
