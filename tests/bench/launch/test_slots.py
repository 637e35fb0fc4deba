"""Slots: disjoint cores, and for each trial on a GPU that one alone."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from bench.errors import DeviceError
from bench.launch.local.local_executor import LocalExecutor
from bench.launch.local.slots import core_sets, local_slots
from bench.launch.scheduler import run_trials
from bench.machine.gpus import gpu_variables, parse_gpus
from bench.plan.trial import Trial
from bench.records.store import Store
from bench.train.progress import Progress
from tests.bench.launch.test_endings import ENDLESS, trial
from tests.bench.launch.test_launch import Watcher, children


def test_cores_are_dealt_out_evenly_and_none_twice() -> None:
    assert core_sets([0, 1, 2, 3, 8, 9, 10], slots=3) == [(0, 1), (2, 3), (8, 9)]
    assert core_sets([4, 5], slots=1) == [(4, 5)]
    assert core_sets([4, 5], slots=3) == [(4,), (5,), (4,)]


def test_a_gpu_has_as_many_slots_as_it_is_to_run_trials() -> None:
    slots = local_slots(workers=1, gpus=("0", "2"), trials_per_gpu=2)
    assert [slot.gpu for slot in slots] == ["0", "2", "0", "2"], "the first trials are spread out"
    on_gpu, on_cpu = trial(device="cuda"), trial()
    assert slots[1].where(on_gpu).device == "GPU 2"
    assert slots[1].where(on_cpu).device == "cpu"


@pytest.mark.usefixtures("endless")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be divided")
def test_trials_side_by_side_have_cores_of_their_own(tmp_path: Path) -> None:
    endless = [trial(steps=ENDLESS, seed=seed) for seed in range(2)]
    found: list[set[int]] = []

    class Looking(Watcher):
        def progressed(self, trial: Trial, progress: Progress) -> None:
            super().progressed(trial, progress)
            running = {one for kind, one in self.events if kind == "progressed"}
            if len(running) == 2:
                found.extend(set(psutil.Process(child.pid).cpu_affinity()) for child in children())
                raise KeyboardInterrupt

    executor = LocalExecutor(workers=2, data=Path("data"))
    with pytest.raises(KeyboardInterrupt):
        run_trials(endless, executor=executor, store=Store(tmp_path), display=Looking())
    assert sorted(sorted(cores) for cores in found) == sorted(sorted(slot.cores) for slot in executor.slots)
    assert not found[0] & found[1]


def test_each_trial_sees_its_gpu_alone_and_one_on_the_cpu_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a framework meets when it is imported: here one that fails and says what it was given."""
    names = sorted(gpu_variables(None))
    (tmp_path / "torch.py").write_text(f"import os\nraise OSError(str([os.environ.get(name) for name in {names}]))\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    store = Store(tmp_path / "results")
    trials = [trial(device="cuda", seed=0), trial(device="cuda", seed=1), trial()]
    executor = LocalExecutor(workers=1, gpus=("3", "GPU-5e"), data=Path("data"))
    run_trials(trials, executor=executor, store=store, display=Watcher())
    said, devices = [], []
    for one in trials:
        record = store.read(one.id)
        assert record is not None
        said.append(record.error)
        devices.append(record.attempts[-1].device)
    assert names == ["CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH"]
    assert said == [f"OSError: ['PCI_BUS_ID', '{gpu}', 'true']" for gpu in ("3", "GPU-5e", "")]
    assert devices == ["GPU 3", "GPU GPU-5e", "cpu"]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None, "this process is left as it is"


@pytest.mark.parametrize("text", ["", "0,", "0,x", "0 1"])
def test_what_is_no_gpu_is_one_line(text: str) -> None:
    with pytest.raises(DeviceError, match="is no GPU"):
        parse_gpus(text)


def test_a_gpu_is_named_once() -> None:
    assert parse_gpus("0, 12,MIG-1a/3/0") == ("0", "12", "MIG-1a/3/0")
    with pytest.raises(DeviceError, match="--trials-per-gpu"):
        parse_gpus("0,1,0")
