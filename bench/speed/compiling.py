"""Compiles what a GPU's benchmarks run, on several cores, before any time is taken.

Kernels of `tiles` are compiled for a cell, its sizes and its precision, whatever the batch and the length, for a second
or more each; what one process has compiled Triton keeps on disk for the next.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.speed.correctness import shapes_on
from bench.speed.precisions import unavailable
from bench.speed.scales import SCALES, grid
from bench.speed.workloads import Preparation, Workload
from impls.contract import PRECISIONS
from impls.kinds import skip_cells

ENGINE = "fast"
TINY: dict[str, Any] = {"length": 2, "batch_size": 2, "updates_every": 1}


def to_compile(framework: str, *, scale: str, device: str, precisions: Sequence[str]) -> list[Workload]:
    """A tiny workload for everything that is compiled by itself: of what is measured, then of what is compared."""
    measured = grid(framework, scale=SCALES[scale], training=None, device=device, precisions=precisions)
    tiny = [replace(workload, **TINY) for workload in measured if workload.subject == ENGINE]
    compared = [
        Workload(
            framework=framework,
            subject=ENGINE,
            cell=cell,
            input_size=shape.features,
            units=shape.units,
            training=training,
            device=device,
            precision=precision,
            **TINY,
        )
        for precision in precisions
        for shape in shapes_on(device, precision=precision)
        for cell in skip_cells()
        for training in (True, False)
    ]
    return list(dict.fromkeys(tiny + compared))


def main(framework: str, scale: str, device: str, share: str) -> None:
    """Compiles a share, such as `0/8`, of all: for a process of its own."""
    number, count = (int(part) for part in share.split("/"))
    refused = unavailable(framework, device=device)
    precisions = [name for name in PRECISIONS if name not in refused]
    for workload in to_compile(framework, scale=scale, device=device, precisions=precisions)[number::count]:
        Preparation().prepare(workload)


if __name__ == "__main__":
    main(*sys.argv[1:])
