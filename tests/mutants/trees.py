"""The copies of the project that mutants are made in: a working tree is never changed."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.rooms import ROOT

FOLDER = ROOT / "build" / "mutants"  # ignored by git


class TakenError(Exception):
    """The copies are used by another run."""


@contextmanager
def taken() -> Iterator[None]:
    """Holds the copies and the results for one run.

    Raises:
        TakenError: another run holds them.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FOLDER.joinpath("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TakenError(f"{FOLDER}: another run tries mutants here; wait for it or stop it") from None
        yield


def refresh(number: int) -> Path:
    """The copy of that number, as the working tree is now; what is compiled and cached in it stays."""
    tree = FOLDER / f"tree-{number}"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    wanted = {tree / path: ROOT / path for path in listed.split("\0") if path and ROOT.joinpath(path).is_file()}
    for old in [path for path in tree.rglob("*.py") if path not in wanted]:
        old.unlink()
    for copy, source in wanted.items():
        if not _same(copy, source):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)  # with its time, by which Numba knows that its cache still holds
    return tree


def _same(copy: Path, source: Path) -> bool:
    if not copy.is_file():
        return False
    here, there = copy.stat(), source.stat()
    return (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns)
