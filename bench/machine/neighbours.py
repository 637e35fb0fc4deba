"""Which processes of trials run on this machine at the same time, whatever command and results folder they belong to.

    <temporary folder>/skiprnn-bench-<user id>/<machine>/<process id>-<start>

One empty file a process; what a process that is gone has left there is removed by whoever looks. The folder is
temporary and anybody's to clear: where it cannot be used, how many run beside is not known, and no trial ends for it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.machine.processes import machine_name, process_start

PROCESS = re.compile(r"(?P<process_id>[0-9]+)-(?P<start>[0-9]+)")


def shared_folder() -> Path:
    """Where this user's trials show themselves on this machine."""
    machine = hashlib.sha256(machine_name().encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"skiprnn-bench-{os.getuid()}" / machine


class Neighbours:
    """The trials that run beside the one of this process, which shows itself to them while the context is open.

    Args:
        folder: where processes show themselves; None is the one that all share.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = shared_folder() if folder is None else folder
        process_id = os.getpid()
        self._own = self._folder / f"{process_id}-{process_start(process_id)}"

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._own.unlink()

    def count(self) -> int | None:
        """How many others run now; None where that cannot be seen, or they could not see this one."""
        if not self._show():
            return None
        try:
            return sum(self._runs(path) for path in self._folder.iterdir() if path != self._own)
        except OSError:
            return None

    def _show(self) -> bool:
        """Shows this process, again where its file was cleared away; whether it is shown."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._own.touch()
        except OSError:
            return False
        return True

    def _runs(self, path: Path) -> bool:
        named = PROCESS.fullmatch(path.name)
        if named is None:  # somebody else's file
            return False
        if str(process_start(int(named["process_id"]))) == named["start"]:
            return True
        path.unlink(missing_ok=True)
        return False
