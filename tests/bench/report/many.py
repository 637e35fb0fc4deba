"""A sweep of many trials, and how long its report takes: python -m tests.bench.report.many 1000."""

from __future__ import annotations

import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.plan.trial import Trial
from bench.records.record import Record
from bench.records.store import Store, write_curve
from bench.report import write_report
from tests.bench.report.stored import SWEEP, list_sweep, ok_record, trial, write_run

FRAMEWORKS, SEEDS, TASKS, CELLS = ("pytorch", "tensorflow"), (0, 1), ("adding", "digits"), ("skip_lstm", "skip_gru")
# Trials of one λ.
SHARE = len(FRAMEWORKS) * len(SEEDS) * len(TASKS) * len(CELLS)
EVALUATIONS = 50


def many_records(costs: int) -> Iterator[tuple[Trial, Record]]:
    """`SHARE` records for each of so many λ; more of it, fewer updates."""
    for number in range(costs):
        for task, cell, framework, seed in itertools.product(TASKS, CELLS, FRAMEWORKS, SEEDS):
            of = trial(task, cell, framework, seed=seed, budget_cost=float(f"{number + 1}e-5"))
            ratio = 1 - 0.9 * (number + 1) / costs
            quality = 0.1 + 0.5 * (number * 7 % costs) / costs + 0.01 * seed
            yield of, ok_record(of, quality=quality, update_ratio=ratio, milliseconds=5 + 5 * ratio)


def write_many(results: Path, *, costs: int) -> None:
    """Stores them, each with a curve and gates."""
    store, written = Store(results), []
    for of, record in many_records(costs):
        write_run(store, record)
        rows = [
            {"step": step, "quality": (record.quality or 0) + 1 / step, "update_ratio": 1.0}
            for step in range(1, EVALUATIONS + 1)
        ]
        write_curve(store.folder_of(of.id) / "curve.csv", rows)
        written.append(of)
    list_sweep(results, written)


def main(trials: int) -> None:
    """Prints the seconds and the memory of a report of so many trials."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        write_many(results, costs=-(-trials // SHARE))
        print(f"{len(Store(results).trial_ids())} trials, load of the machine {os.getloadavg()[0]:.1f}")
        started, computed = time.perf_counter(), time.process_time()
        page = write_report(SWEEP, results=results, reports=Path(folder) / "reports")
        seconds, processor = time.perf_counter() - started, time.process_time() - computed
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{seconds:.1f} s, of which {processor:.1f} s on the processor; at most {memory:.0f} MiB of memory")
        print(f"index.html: {page.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
