"""A sweep of many trials that learn nothing, through the real scheduler, store, list, watch and report."""

from __future__ import annotations

import io
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.cli import watch
from bench.launch.duration import estimate
from bench.launch.duration.estimate import but_for_seed
from bench.launch.running import run_sweep
from bench.plan.sweep import Sweep
from bench.plan.trial import build_trial
from bench.records.running.leases import Watch
from bench.records.seen import SeenRecords
from bench.records.store import Store
from bench.report import write_report
from tests.faults.fake_learner import FakeExecutor

SEEDS = 5
SLOTS = 16


@dataclass
class Measured:
    """Processor seconds by what took them, and at most so many MiB of memory until then."""

    trials: int
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def taking(self, what: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[what] = time.process_time() - started
        self.memory[what] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sweep_of(trials: int) -> Sweep:
    """So many trials: λ and two frameworks, five seeds each."""
    content: dict[str, Any] = {"task": "adding", "cell": "skip_lstm", "units": 4, "options": {"length": 10}}
    made = []
    for number in range(trials):
        group, seed = divmod(number, SEEDS)
        framework = ("pytorch", "tensorflow")[group % 2]
        told = {"framework": framework, "seed": seed, "budget_cost": float(f"{group // 2 + 1}e-6")}
        made.append(build_trial({**content, **told}, where="scale"))
    return Sweep(name="scale", description="", trials=tuple(made))


def run(sweep: Sweep, results: Path, *, checkpoints: bool = False) -> Counter[str]:
    """Runs it; how many stand at each status."""
    estimate.slowdown = lambda: 1.0  # which takes a second, whatever the sweep
    console, executor = Console(file=io.StringIO()), FakeExecutor(slots=SLOTS, checkpoints=checkpoints)
    return run_sweep(sweep, store=Store(results), data=results, executor=executor, console=console, checks=False)


def measure(trials: int, folder: Path, *, report: bool) -> Measured:
    """Runs a sweep of so many trials and everything that reads it."""
    measured, sweep, results = Measured(trials), sweep_of(trials), folder / "results"
    with measured.taking("run"):
        counts = run(sweep, results)
    assert counts == {"ok": trials}, counts
    with measured.taking("run again, all done"):
        run(sweep, results)
    with measured.taking("survey"):
        Store(results).survey()
    records, leases = SeenRecords(results, (trial.id for trial in sweep.trials)), Watch()
    alike = {trial.id: but_for_seed(trial) for trial in sweep.trials}
    for look in ("watch, first look", "watch, next look"):
        with measured.taking(look):
            console = Console(file=io.StringIO())
            watch.show(sweep, alike, results=results, records=records, leases=leases, console=console)
    if report:
        with measured.taking("report"):
            write_report(sweep.name, results=results, reports=folder / "reports", trials=sweep.trials)
    return measured


class Operations:
    """Counts the files that this process opens and lists while it is open."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._open = False
        sys.addaudithook(self._hear)

    @contextmanager
    def counting(self) -> Iterator[None]:
        self.counted.clear()
        self._open = True
        yield
        self._open = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._open and event in ("open", "os.listdir", "os.scandir", "os.rename", "os.mkdir", "os.remove"):
            self.counted[event] += 1
