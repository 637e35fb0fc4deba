"""Which process is which: a name for this machine, and when a process was started."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

PROCESSES = Path("/proc")


@cache
def machine_name() -> str:
    """The host, its start, and the process namespace: within one name, process ids say which process is meant."""
    start = (PROCESSES / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{socket.gethostname()} {start} {os.stat(PROCESSES / 'self/ns/pid').st_ino}"


def process_start(process_id: int) -> int | None:
    """When a process of this machine was started, in clock ticks since the machine's start; None for one that is gone.

    A process that ended and waits to be collected is gone.
    """
    try:
        text = (PROCESSES / str(process_id) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # behind the program's name, which may hold anything
    state, start = fields[0], int(fields[19])
    return None if state in "ZX" else start
