"""Folders for a process's own use, on this machine's temporary disk, that do not outlive it for long.

    <temporary folder>/skiprnn-bench-<user id>/scratch-<machine>/<process id>-<start>/

A process that is killed leaves its folder, and whoever needs one next on this machine removes it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine.disk import disk_explained
from bench.machine.neighbours import shared_folder
from bench.machine.processes import process_start

NAME = re.compile(r"(?P<process_id>[0-9]+)-(?P<start>[0-9]+)")


def scratch_root() -> Path:
    """Where the processes of this user on this machine have theirs."""
    of_machine = shared_folder()
    return of_machine.with_name(f"scratch-{of_machine.name}")


@contextmanager
def scratch_folder(root: Path | None = None) -> Iterator[Path]:
    """An empty folder for this process, which has one at a time. Raises `DiskError` where the disk does not take it.

    `root` is another place for it, which no other machine uses.
    """
    root = scratch_root() if root is None else root
    process_id = os.getpid()
    own = root / f"{process_id}-{process_start(process_id)}"
    with disk_explained(own):
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in root.iterdir():
            named = NAME.fullmatch(path.name)
            if path == own or (named and str(process_start(int(named["process_id"]))) != named["start"]):
                shutil.rmtree(path, ignore_errors=True)
        own.mkdir()
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
