"""Which process is which: a name for this machine, and when a process was started."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

PROCESSES = Path("/proc")
VARIABLE = "SKIPRNN_MACHINE"


@cache
def machine_name() -> str:
    """The host, its start, and the process namespace: within one name, process ids say which process is meant.

    Virtual machines that were started from one snapshot are alike in all three: `SKIPRNN_MACHINE` tells them apart.
    """
    start = (PROCESSES / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    name = f"{socket.gethostname()} {start} {os.stat(PROCESSES / 'self/ns/pid').st_ino}"
    told = os.environ.get(VARIABLE)
    return f"{name} {told}" if told else name


def process_start(process_id: int) -> int | None:
    """When a process of this machine was started, in clock ticks since the machine's start; None for one that is gone.

    A process that ended and waits to be collected is gone.
    """
    fields = _fields(process_id)
    return None if fields is None else int(fields[19])


def processor_seconds(process_id: int) -> float:
    """How long a process, with those that it waited for, has used this machine's processors; 0 for one that is gone."""
    fields = _fields(process_id)
    return 0.0 if fields is None else sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _fields(process_id: int) -> list[str] | None:
    """The fields of `/proc/<id>/stat` behind the program's name, which may hold anything; None for one that is gone."""
    try:
        text = (PROCESSES / str(process_id) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields
