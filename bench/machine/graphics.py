"""The graphics cards of a machine, and the one that a process computes on, as their driver tells of them."""

from __future__ import annotations

import os
import subprocess

ASKED = {"gpu": "name", "gpu_memory": "memory.total", "gpu_capability": "compute_cap", "gpu_driver": "driver_version"}
VISIBLE = "CUDA_VISIBLE_DEVICES"


def graphics_card() -> dict[str, str]:
    """Name, memory, compute capability and driver of the first card that CUDA sees; nothing where nobody tells."""
    words = [f"--query-gpu={','.join(ASKED.values())}", "--format=csv,noheader"]
    first = os.environ.get(VISIBLE, "").partition(",")[0]
    if first:
        words.append(f"--id={first}")
    cards = [line.split(", ") for line in _told(*words)]
    if not cards or len(cards[0]) != len(ASKED):
        return {}
    return dict(zip(ASKED, cards[0], strict=True))


def cards_listed() -> tuple[str, ...]:
    """The machine's cards, and the parts of one that is divided, with their identifiers, as `nvidia-smi -L` lists them.

    Nothing where nobody tells.
    """
    return tuple(line.strip() for line in _told("-L"))


def _told(*words: str) -> list[str]:
    """What the driver's program says, by lines; nothing where it is missing, fails or hangs."""
    try:
        done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
