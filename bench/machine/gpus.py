"""Which of the machine's GPUs a process sees."""

from __future__ import annotations

import re

from bench.errors import DeviceError
from bench.machine.threads import BY_BUS, COUNT_VARIABLE

# A GPU's number as `nvidia-smi` counts, or its identifier, or that of a part of one.
NAME = re.compile(r"[0-9]{1,3}|(GPU|MIG)-[\w/-]+")


def parse_gpus(text: str) -> tuple[str, ...]:
    """From `0,1`. Raises `DeviceError` where an entry is none, or stands there twice."""
    gpus = tuple(entry.strip() for entry in text.split(","))
    for gpu in gpus:
        if not NAME.fullmatch(gpu):
            raise DeviceError(f"--gpus {text}: {gpu!r} is no GPU; write their numbers, such as 0,1 (nvidia-smi -L)")
    if len(set(gpus)) < len(gpus):
        raise DeviceError(f"--gpus {text}: names one twice; for several trials on a GPU use --trials-per-gpu")
    return gpus


def gpu_variables(gpu: str | None) -> dict[str, str]:
    """The variables of a process that sees one GPU alone, or none; both frameworks read them when they first use one.

    TensorFlow takes memory as it needs it, not all at once: others may use the same GPU.
    """
    return {
        COUNT_VARIABLE: BY_BUS,
        "CUDA_VISIBLE_DEVICES": "" if gpu is None else gpu,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
