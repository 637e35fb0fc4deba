"""A slow disk, in every Python process whose path has this folder: each change below a folder takes its time.

    SKIPRNN_SLOW_DISK="<seed> <folder>"

Most changes take a few hundredths of a second, some a good part of one, and one in a hundred longer than a lease of
these rounds.
"""

from __future__ import annotations

import os
import random
import sys
import time

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod", "os.truncate", "os.link"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def install(seed: str, folder: str) -> None:
    """Slows this process and those that it forks."""
    draw, sync = random.Random(f"{seed} {' '.join(sys.argv)}"), os.fsync

    def wait() -> None:
        often = draw.random()
        time.sleep(draw.uniform(0.01, 0.05) if often < 0.9 else draw.uniform(0.1, 0.8) if often < 0.99 else 6.0)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments[:3]
            if isinstance(path, str) and isinstance(flags, int) and flags & WRITES and path.startswith(folder):
                wait()
        elif event in CHANGES and str(arguments[0]).startswith(folder):
            wait()

    def slow_sync(handle: int) -> None:
        wait()
        sync(handle)

    os.fsync = slow_sync
    sys.addaudithook(hear)


if told := os.environ.get("SKIPRNN_SLOW_DISK"):
    install(*told.split(" ", 1))
