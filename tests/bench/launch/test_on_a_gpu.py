"""Trials on a device, through the executor of this machine; what is asked of a GPU is asked of the CPU too."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.launch.local.local_executor import LocalExecutor
from bench.launch.scheduler import run_trials
from bench.plan.trial import Trial
from bench.records.store import Store
from bench.train.progress import Progress
from tests.bench.launch.test_endings import trial
from tests.bench.launch.test_killed_trials import newest_step
from tests.bench.launch.test_killed_trials import trial as long_trial
from tests.bench.launch.test_launch import Watcher, wait_for
from tests.bench.train.test_resumption import left, numbers

pytestmark = pytest.mark.parametrize("framework", ["pytorch"])  # whose device the fixture `cuda` asks for
# How far apart the parameters of two runs may be on a GPU, whose kernels add in a fixed order.
ROUNDING = 1e-6


def executor(device: str) -> LocalExecutor:
    """One for two trials at a time: on one GPU, or on two workers."""
    if device == "cuda":
        return LocalExecutor(workers=1, gpus=("0",), trials_per_gpu=2, data=Path("data"))
    return LocalExecutor(workers=2, data=Path("data"))


def implementation(device: str) -> str:
    if device == "cpu":
        return "kernels"
    return "tiles" if importlib.util.find_spec("triton") else "operations"


def test_two_trials_at_a_time_train_on_a_device(device: str, framework: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [trial(steps=10, framework=framework, device=device, cell=cell) for cell in ("skip_lstm", "gru")]
    run_trials(trials, executor=executor(device), store=store, display=Watcher())
    for made in trials:
        record = store.read(made.id)
        assert record is not None
        assert (record.status, record.error) == ("ok", "")
        assert record.trial.device == device
        (attempt,) = record.attempts
        assert attempt.device == ("GPU 0" if device == "cuda" else "cpu")
        assert record.implementation == implementation(device)
        assert ("gpu" in record.environment) == ("gpu_libraries" in record.environment) == (device == "cuda")
        assert record.peak_memory_bytes is not None
        assert record.peak_memory_bytes > 0
        assert record.loss is not None
        assert math.isfinite(record.loss)


def parameters(folder: Path) -> dict[str, Any]:
    """After the last step of the trial whose folder it is."""
    with np.load(folder / "final.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


class Interrupting(Watcher):
    """Presses Ctrl-C once there is a checkpoint."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def progressed(self, trial: Trial, progress: Progress) -> None:
        super().progressed(trial, progress)
        wait_for(lambda: newest_step(self._store), seconds=120)
        raise KeyboardInterrupt


# Of the CPU the tests of killed trials ask the same.
@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)
def test_a_trial_that_was_interrupted_on_a_device_ends_as_one_that_was_not(
    device: str, framework: str, tmp_path: Path
) -> None:
    made = long_trial(framework).model_copy(update={"device": device})
    interrupted, undisturbed = Store(tmp_path / "interrupted"), Store(tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        run_trials([made], executor=executor(device), store=interrupted, display=Interrupting(interrupted))
    for store in (interrupted, undisturbed):
        run_trials([made], executor=executor(device), store=store, display=Watcher())
    resumed, whole = interrupted.read(made.id), undisturbed.read(made.id)
    assert resumed is not None
    assert whole is not None
    assert (resumed.status, whole.status) == ("ok", "ok")
    assert [attempt.how for attempt in resumed.attempts] == ["stopped", "ok"]
    first, second = resumed.stretches
    assert 0 < first.end_step == second.start_step < second.end_step == whole.steps
    if device == "cpu":
        assert left(interrupted.folder_of(made.id)) == left(undisturbed.folder_of(made.id))
        assert numbers(resumed) == numbers(whole)
        return
    ours, theirs = (parameters(store.folder_of(made.id)) for store in (interrupted, undisturbed))
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=ROUNDING, err_msg=name)
