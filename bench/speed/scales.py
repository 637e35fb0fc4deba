"""What the benchmarks measure: settings by scale, the workloads of each, and the order in which they are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.speed.workloads import Workload
from impls.contract import BASELINES, ENGINES
from impls.kinds import KINDS, cells, skip_cells


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What runs beside each other: engines with the cells named, and the baselines of these cells' kinds.

    A skip cell updates at every n-th step, for the n of `updates_every`.
    """

    training: bool
    length: int
    input_size: int
    cells: tuple[str, ...]
    batch_size: int = 256
    units: int = 110
    precision: str = "float32"
    engines: tuple[str, ...] = ENGINES
    updates_every: tuple[int, ...] = (1, 2, 10)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        passes: how many times all workloads are measured, one after the other.
        seconds: about how long one workload is measured in a pass.
        settings: what is measured, the most important first.
        long_seconds: a step that takes longer is measured in the first pass alone.
    """

    passes: int
    seconds: float
    settings: tuple[Setting, ...]
    long_seconds: float = 2.0


def _on_a_gpu(*, training: bool, **fields: object) -> Setting:
    told: dict[str, object] = {"length": 256, "input_size": 16, "cells": skip_cells(), "engines": ("fast",)}
    told |= {"updates_every": (1, 2, 10, 50)}
    return Setting(training=training, **{**told, **fields})  # type: ignore[arg-type]


_LONG = {"length": 784, "input_size": 1}
SCALES = {
    "full": Scale(
        passes=5,
        seconds=0.25,
        settings=(
            Setting(training=True, length=50, input_size=2, cells=cells()),
            Setting(training=True, length=784, input_size=1, cells=skip_cells()),
            Setting(training=False, length=50, input_size=2, cells=cells()),
            Setting(training=False, length=784, input_size=1, cells=skip_cells()),
            Setting(training=False, length=784, input_size=1, cells=skip_cells(), batch_size=1),
        ),
    ),
    "quick": Scale(
        passes=2,
        seconds=0.1,
        settings=(
            Setting(training=True, length=50, input_size=2, cells=skip_cells()),
            Setting(training=False, length=50, input_size=2, cells=skip_cells()),
        ),
    ),
    # The paper's size first, then how it is multiplied, then sizes from either end, and the equations last.
    "gpu": Scale(
        passes=5,
        seconds=0.1,
        long_seconds=0.2,
        settings=(
            _on_a_gpu(training=True, **_LONG),
            _on_a_gpu(training=False, **_LONG),
            _on_a_gpu(training=True, precision="bfloat16", **_LONG),
            _on_a_gpu(training=True, precision="tf32", **_LONG),
            _on_a_gpu(training=False, batch_size=1, **_LONG),
            _on_a_gpu(training=True, batch_size=1024),
            _on_a_gpu(training=True, units=512),
            _on_a_gpu(training=True, units=1024),
            _on_a_gpu(training=True, batch_size=32),
            _on_a_gpu(training=True, units=64),
            _on_a_gpu(training=True, units=256),
            _on_a_gpu(training=False, precision="bfloat16", **_LONG),
            _on_a_gpu(training=False, precision="tf32", **_LONG),
            _on_a_gpu(training=True, batch_size=1),
            _on_a_gpu(training=True, units=1024, precision="bfloat16"),
            _on_a_gpu(training=True, units=1024, precision="tf32"),
            _on_a_gpu(training=False, batch_size=1024),
            _on_a_gpu(training=False, units=1024),
            Setting(training=True, length=50, input_size=2, cells=skip_cells(), engines=("reference",)),
            Setting(training=False, length=50, input_size=2, cells=skip_cells(), engines=("reference",)),
        ),
    ),
    # For the test suite: each engine runs each cell once, untimed.
    "tiny": Scale(
        passes=1,
        seconds=0,
        settings=(
            Setting(training=True, length=12, input_size=2, cells=("skip_lstm",), batch_size=3, units=4),
            Setting(training=False, length=12, input_size=2, cells=("lstm", "gru", "skip_gru"), batch_size=3, units=4),
        ),
    ),
}


def grid(
    framework: str,
    *,
    scale: Scale,
    training: bool | None,
    device: str = "cpu",
    threads: int = 0,
    precisions: Sequence[str] | None = None,
) -> list[Workload]:
    """The workloads of a framework in the order of a pass: what is compared stands close together.

    Args:
        framework: one of `FRAMEWORKS`.
        scale: what is measured.
        training: training or inference; None is both.
        device, threads: of the workloads.
        precisions: those that the device has; None is all. Settings of others are left out.
    """
    return [
        workload
        for setting in scale.settings
        if training in (None, setting.training) and (precisions is None or setting.precision in precisions)
        for block in blocks(framework, setting=setting, device=device, threads=threads)
        for workload in block
    ]


def blocks(framework: str, *, setting: Setting, device: str = "cpu", threads: int = 0) -> list[list[Workload]]:
    """A setting's workloads by kind of cell: baselines, then engines beside them."""
    found = []
    for kind in (name for name, kind in KINDS.items() if kind.has_kernels):  # the frameworks have layers of these
        named = [cell for cell in setting.cells if cell.removeprefix("skip_") == kind]
        if not named:
            continue
        first = Workload(
            framework=framework,
            subject=BASELINES[framework][0],
            cell=kind,
            input_size=setting.input_size,
            units=setting.units,
            length=setting.length,
            batch_size=setting.batch_size,
            updates_every=1,
            training=setting.training,
            device=device,
            threads=threads,
            precision=setting.precision,
        )
        block = [replace(first, subject=subject) for subject in BASELINES[framework]]
        block += [
            replace(first, subject=engine, cell=cell, updates_every=every)
            for engine in reversed(ENGINES)  # the fast one beside the baselines that it is compared with
            if engine in setting.engines
            for cell in named
            for every in (setting.updates_every if cell in skip_cells() else (1,))
        ]
        found.append(block)
    return found


def by_importance(workloads: Sequence[Workload], *, passes: int) -> list[tuple[int, Workload]]:
    """Workloads with their passes, for a budget: all passes of what stands together, then those of what is next.

    Together stand the workloads that differ in subject, cell or update ratio alone, so that baselines and engines still
    alternate; what the budget cuts off is whole settings, the least important.
    """
    together: dict[Workload, list[Workload]] = {}
    for workload in workloads:
        key = replace(workload, subject="", cell=workload.cell.removeprefix("skip_"), updates_every=1)
        together.setdefault(key, []).append(workload)
    return [(number, workload) for block in together.values() for number in range(passes) for workload in block]
