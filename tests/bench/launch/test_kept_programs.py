"""What TensorFlow compiled for one trial serves the next one, which comes to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.plan.trial import Trial, build_trial
from bench.records.record import Record
from bench.records.store import Store
from impls.contract import installed
from tests.bench.launch.test_launch import SHORT, Watcher, run
from tests.bench.train.test_resumption import left, numbers


@pytest.mark.skipif(not installed("tensorflow"), reason="TensorFlow is not installed")
def test_a_trial_of_programs_from_disk_ends_bit_for_bit_as_one_that_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("SKIPRNN_BENCH_CACHE", str(cache))
    content = {"task": "adding", "cell": "skip_gru", "units": 5, "framework": "tensorflow", "options": {"length": 9}}
    content |= {"budget_cost": 1e-2, "update_bias": -0.5, "protocol": SHORT}
    trials = {seed: build_trial(content | {"seed": seed}, where="test") for seed in (0, 1)}
    kept: set[Path] = set()
    compiled: list[int] = []
    records: list[Record] = []

    class Counting(Watcher):
        def finished(self, trial: Trial, record: Record) -> None:
            nonlocal kept
            super().finished(trial, record)
            assert record.status == "ok"
            assert "persistent_cache" not in str(record.environment), "where they lie is no setting of the user's"
            found = set(cache.glob("tensorflow/*/*"))
            compiled.append(len(found - kept))
            kept = found
            records.append(record)

    for name, seeds in (("compiled", (0, 1)), ("from disk", (0,))):
        run([trials[seed] for seed in seeds], Store(tmp_path / name), Counting(), workers=1)
    assert compiled == [len(kept), 0, 0], "a program is written down alike by every process"
    assert numbers(records[0]) == numbers(records[2]) != numbers(records[1])
    folders = [Store(tmp_path / name).folder_of(trials[0].id) for name in ("compiled", "from disk")]
    assert left(folders[0]) == left(folders[1])
    assert not list(cache.glob("running/*/*")), "a process's own folder goes with it"
