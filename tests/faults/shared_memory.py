"""Semaphores and shared memory that nobody uses any more."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")


def shared_memory() -> set[str]:
    """The names of what there is."""
    return {path.name for path in SHARED.iterdir() if path.is_file()} if SHARED.is_dir() else set()


def left_in_shared_memory(before: set[str]) -> list[str]:
    """What is there that was not before, and that no living process has mapped or open."""
    used = ""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            used += (process / "maps").read_text()
        with suppress(OSError):
            used += "\n".join(str(handle.readlink()) for handle in (process / "fd").iterdir())
    return sorted(name for name in shared_memory() - before if f"{SHARED}/{name}" not in used)
