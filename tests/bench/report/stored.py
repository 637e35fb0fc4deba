"""A small stored sweep with known numbers: two frameworks, three seeds, and every kind of hole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.plan.trial import Trial, build_trial
from bench.records.listing import Listing, write_listing
from bench.records.record import Record, identity
from bench.records.store import Store, write_arrays, write_curve
from bench.report.figures.style import Picture

SWEEP = "stored"
ENVIRONMENT = {
    "processor": "a processor",
    "cores": 2,
    "memory_bytes": 8 * 2**30,
    "system": "Linux 6",
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "tensorflow": "2.21.0"},
    "threads": 1,
}
# Test errors of skip_lstm on adding by seed, and milliseconds of a training step.
QUALITY = {"pytorch": (0.1, 0.2, 0.3), "tensorflow": (0.11, 0.19, 0.33)}
UPDATE_RATIO = {"pytorch": (0.5, 0.5, 0.5), "tensorflow": (0.5, 0.4, 0.6)}
MILLISECONDS = {"pytorch": (10.0, 10.0, 10.0), "tensorflow": (5.0, 20.0, 10.0)}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A results folder, and the trials that its sweep asks for."""

    results: Path
    trials: tuple[Trial, ...]

    @property
    def store(self) -> Store:
        return Store(self.results)


def trial(task: str, cell: str, framework: str, *, seed: int = 0, budget_cost: float = 0.0) -> Trial:
    protocol = {"steps": 20, "batch_size": 4, "evaluate_every": 10}
    options = {"length": 10} if task == "adding" else {}
    content = {"task": task, "cell": cell, "framework": framework, "seed": seed, "budget_cost": budget_cost}
    return build_trial({**content, "units": 8, "options": options, "protocol": protocol}, where="stored")


def ok_record(
    of: Trial, *, quality: float, update_ratio: float = 1.0, milliseconds: float = 8.0, **more: Any
) -> Record:
    facts = identity(of)
    content: dict[str, Any] = {
        "status": "ok",
        "quality": quality,
        "solved": quality < 0.15 if of.task == "adding" else None,
        "update_ratio": update_ratio,
        "updates": update_ratio * facts["length"],
        "flops_per_sequence": 1000 * update_ratio,
        "work_per_sequence": 1000.0,
        "step_milliseconds": milliseconds,
        "train_seconds": 2.0,
        "total_seconds": 5.0,
        "parameters_checksum": f"parameters {of.seed}",
        "batches_checksum": f"batches {of.seed}",
        "environment": ENVIRONMENT,
    }
    return Record(**facts, **(content | more))


def write_stored(results: Path) -> Stored:
    """Writes the sweep: on adding two lstm trials do not end ok; digits has a non-pair and a missing trial."""
    store = Store(results)
    trials = []
    for framework in ("pytorch", "tensorflow"):
        for seed in range(3):
            skip = trial("adding", "skip_lstm", framework, seed=seed, budget_cost=0.01)
            quality, ratio = QUALITY[framework][seed], UPDATE_RATIO[framework][seed]
            write_run(store, ok_record(skip, quality=quality, update_ratio=ratio,
                                       milliseconds=MILLISECONDS[framework][seed]))  # fmt: skip
            plain = trial("adding", "lstm", framework, seed=seed)
            if seed < 2:
                write_run(store, ok_record(plain, quality=0.05))
            trials += [skip, plain]
        digits = trial("digits", "skip_gru", framework)
        write_run(store, ok_record(digits, quality=0.9, update_ratio=0.25, batches_checksum=f"batches of {framework}"))
        missing = trial("digits", "lstm", framework)
        if framework == "pytorch":
            write_run(store, ok_record(missing, quality=0.8))
        trials += [digits, missing]
    failed = identity(trial("adding", "lstm", "pytorch", seed=2))
    store.write(Record(**failed, status="failed", error="MemoryError: no <room>", traceback="Traceback: line 1"))
    diverged = identity(trial("adding", "lstm", "tensorflow", seed=2))
    store.write(Record(**diverged, status="diverged", error="the training loss became nan at step 3"))
    write_curve(store.folder_of(diverged["trial_id"]) / "curve.csv", [])
    list_sweep(results, trials)
    return Stored(results=results, trials=tuple(trials))


def list_sweep(results: Path, trials: Iterable[Trial]) -> None:
    """What a run of the sweep leaves beside its records."""
    write_listing(results, Listing(sweep=SWEEP, trials=tuple(trial.id for trial in trials)))


def check_nothing_runs_out(picture: Picture) -> None:
    """Asserts that all that a laid-out figure holds, its labels too, lies inside of it."""
    box, page = picture.figure.get_tightbbox(), picture.figure.get_size_inches()
    assert min(box.x0, box.y0) >= 0, picture.name
    assert max(box.x1 - page[0], box.y1 - page[1]) <= 0, picture.name


def write_run(store: Store, record: Record) -> None:
    """A record with the files that an ok trial leaves."""
    store.write(record)
    folder = store.folder_of(record.trial_id)
    rows = [{"step": step, "quality": (record.quality or 0) + 1 / step, "update_ratio": 1.0} for step in (10, 20)]
    write_curve(folder / "curve.csv", rows)
    features = 2 if record.trial.task == "adding" else 1
    inputs = np.random.Generator(np.random.Philox(0)).random((9, record.length, features), dtype=np.float32)
    gates = np.ones((9, record.length), np.float32)
    if record.trial.cell.startswith("skip_"):
        gates[:, 1::2] = 0
    write_arrays(folder / "gates.npz", {"inputs": inputs, "gates": gates, "targets": inputs[:, 0]})
