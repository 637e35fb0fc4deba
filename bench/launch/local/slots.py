"""This machine's slots: disjoint sets of its cores, and its GPUs, one for so many trials at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from bench.launch.executor import Slot


def local_slots(*, workers: int, gpus: Sequence[str] = (), trials_per_gpu: int = 1) -> tuple[Slot, ...]:
    """The slots for so many workers, or for so many trials on each GPU where some are named.

    Cores that this process may use are dealt out evenly; where there are fewer than slots, several share one.
    """
    places: list[str | None] = [gpu for _ in range(trials_per_gpu) for gpu in gpus]
    places = places or [None] * workers
    shares = core_sets(sorted(os.sched_getaffinity(0)), slots=len(places))
    return tuple(
        Slot(number=number, threads=len(cores), cores=cores, gpu=gpu, node=socket.gethostname())
        for number, (gpu, cores) in enumerate(zip(places, shares, strict=True))
    )


def core_sets(cores: Sequence[int], *, slots: int) -> list[tuple[int, ...]]:
    """As many cores for each slot as for every other, next to each other; what does not come out is left over.

    A trial's threads follow its cores, and trials of a sweep are to be alike.
    """
    each = len(cores) // slots
    if not each:
        return [(cores[number % len(cores)],) for number in range(slots)]
    return [tuple(cores[number * each : (number + 1) * each]) for number in range(slots)]
