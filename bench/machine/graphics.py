"""The graphics card that a process computes on, as its driver tells of it."""

from __future__ import annotations

import os
import subprocess

ASKED = {"gpu": "name", "gpu_memory": "memory.total", "gpu_capability": "compute_cap", "gpu_driver": "driver_version"}
VISIBLE = "CUDA_VISIBLE_DEVICES"


def graphics_card() -> dict[str, str]:
    """Name, memory, compute capability and driver of the first card that CUDA sees; nothing where nobody tells."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED.values())}", "--format=csv,noheader"]
    first = os.environ.get(VISIBLE, "").partition(",")[0]
    if first:
        command.append(f"--id={first}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    cards = [line.split(", ") for line in done.stdout.splitlines()]
    if done.returncode != 0 or not cards or len(cards[0]) != len(ASKED):
        return {}
    return dict(zip(ASKED, cards[0], strict=True))
