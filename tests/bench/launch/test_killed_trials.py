"""Trials killed at any moment and run again come to the very bits of one that ran through."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.launch.local.local_executor import LocalExecutor
from bench.launch.scheduler import run_trials
from bench.plan.trial import Trial, build_trial
from bench.records.record import Record
from bench.records.store import Store
from bench.train.progress import Progress
from impls.contract import installed
from tests.bench.launch.test_launch import Watcher, children, wait_for
from tests.bench.train.test_resumption import left, numbers

KILLS = 2
STEPS, INTERVAL = 320, 4
# About as long as the steps, the evaluation and the writing of a checkpoint take: a kill falls into any of them.
LONGEST_SECONDS = 0.1


def trial(framework: str) -> Trial:
    content: dict[str, Any] = {"task": "adding", "cell": "skip_lstm", "units": 3, "options": {"length": 6}}
    content |= {"framework": framework, "budget_cost": 1e-3, "update_bias": -0.5}
    protocol = {"steps": STEPS, "batch_size": 4, "learning_rate": 1e-2, "evaluate_every": INTERVAL}
    protocol |= {"evaluation_sequences": 8, "learning_rate_schedule": "cosine"}
    return build_trial(content | {"protocol": protocol}, where="test")


def ended(made: Trial, store: Store, watcher: Watcher, *, retries: int = 0) -> Record:
    executor = LocalExecutor(workers=2, data=Path("data"))
    run_trials([made], executor=executor, store=store, display=watcher, retries=retries)
    return watcher.records[made.id]


class Killing(Watcher):
    """Kills the trial, each time at a moment after one more checkpoint, at least, than there was when it began."""

    def __init__(self, store: Store, *, times: int) -> None:
        super().__init__()
        self._store = store
        self._left = times
        self._moments = random.Random()
        self._before: int | None = None

    def started(self, trial: Trial) -> None:
        super().started(trial)
        self._before = newest_step(self._store)

    def progressed(self, trial: Trial, progress: Progress) -> None:
        super().progressed(trial, progress)
        if not self._left or self._before is None:
            return
        reached = self._before + self._moments.randrange(STEPS // (2 * KILLS + 2))
        self._before, self._left = None, self._left - 1
        wait_for(lambda: newest_step(self._store) > reached, seconds=120)
        time.sleep(self._moments.uniform(0.0, LONGEST_SECONDS))
        for child in children():
            child.send_signal(signal.SIGKILL)


def newest_step(store: Store) -> int:
    """Of the newest checkpoint of the trial, whether it runs or ended; 0 where there is none."""
    paths = store.results.glob("*/*/checkpoint-*.npz")
    return max((int(path.stem.partition("-")[2]) for path in paths), default=0)


@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_a_trial_killed_at_random_moments_ends_bit_for_bit_as_one_that_ran_through(
    framework: str, tmp_path: Path
) -> None:
    if not installed(framework):
        pytest.skip(f"{framework} is not installed")
    made = trial(framework)
    killed, undisturbed = Store(tmp_path / "killed"), Store(tmp_path / "undisturbed")
    folder = killed.folder_of(made.id)

    resumed = ended(made, killed, Killing(killed, times=KILLS), retries=KILLS)
    whole = ended(made, undisturbed, Watcher())
    assert [attempt.how for attempt in resumed.attempts] == ["killed"] * KILLS + ["ok"]
    assert all("SIGKILL" in attempt.error for attempt in resumed.attempts[:KILLS])
    assert resumed.status == "ok"
    assert len(resumed.stretches) == KILLS + 1
    assert "the trial goes on after step" in (folder / "log.txt").read_text()
    assert left(folder) == left(undisturbed.folder_of(made.id))
    assert numbers(resumed) == numbers(whole)
    ends = [stretch.end_step for stretch in resumed.stretches]
    assert [0, *ends] == [*(stretch.start_step for stretch in resumed.stretches), STEPS]
    assert resumed.total_seconds == pytest.approx(sum(stretch.seconds for stretch in resumed.stretches))


def test_arrays_are_compared_by_their_bits(tmp_path: Path) -> None:
    """The comparison above can fail: it sees the last digit of one number."""
    values = np.ones(3, np.float32)
    for folder, array in (("one", values), ("other", np.nextafter(values, np.float32(2)))):
        (tmp_path / folder).mkdir()
        for name in ("best.npz", "final.npz", "gates.npz"):
            np.savez(tmp_path / folder / name, weights=array)
        (tmp_path / folder / "curve.csv").write_text("step,train_seconds\n1,0.5\n")
    assert left(tmp_path / "one") != left(tmp_path / "other")
