"""The memory of a GPU: taken as it is needed, and its peak that of one learner; without one, by what is asked for."""

from __future__ import annotations

import gc
import importlib
import os
from typing import Any

import numpy as np
import pytest

from impls.contract import FRAMEWORKS, Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.parameters import initial_parameters


def test_pytorch_counts_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from impls.pytorch import device

    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "init", lambda: asked.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: asked.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 123)
    device.begin_on("cpu")
    assert asked == []
    device.begin_on("cuda")
    assert asked == ["init", "reset"]
    assert (device.peak_memory_bytes("cuda"), device.peak_memory_bytes("cpu")) == (123, None)


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("on", ["cpu", "cuda"])
def test_tensorflow_takes_what_it_needs_and_counts_from_now(
    on: str, computed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU too, where it would take the whole card for nothing; and where it has computed, as it was."""
    import tensorflow as tf

    from impls.tensorflow import device

    asked: list[Any] = []

    def grow(gpu: str, enable: bool) -> None:
        if computed:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        asked.append((gpu, enable))

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    monkeypatch.setattr(tf.config.experimental, "reset_memory_stats", lambda gpu: asked.append(("reset", gpu)))
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda gpu: {"current": 1, "peak": 123})
    monkeypatch.setenv("XLA_FLAGS", "")  # which is put back at the end
    device.begin_on(on)
    assert ("command_buffer" in os.environ["XLA_FLAGS"]) == (on == "cuda")
    grown = [] if computed else [("GPU:0", True), ("GPU:1", True)]
    assert asked == grown + ([("reset", "GPU:0")] if on == "cuda" else [])
    assert (device.peak_memory_bytes("cuda"), device.peak_memory_bytes("cpu")) == (123, None)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_learner_begins_on_its_device(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"impls.{framework}.learner")
    begun: list[str] = []
    monkeypatch.setattr(module, "begin_on", begun.append)
    assert learner(framework, device="cpu", units=2).device_memory_bytes() is None
    assert begun == ["cpu"]


def learner(framework: str, *, device: str, units: int) -> Any:
    spec = ModelSpec(
        cell=CellSpec(cell="skip_lstm", input_size=2, units=(units,)), output_size=2, loss="mean_squared_error"
    )
    parameters = initial_parameters(spec, seed=1)
    return build_learner(framework, model=spec, optimizer=OptimizerSpec(), parameters=parameters, device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_small_learner_after_a_large_one_has_a_small_peak(framework: str, cuda: None) -> None:
    draw = np.random.default_rng(0)
    peaks = []
    for units in (1024, 2):
        made = learner(framework, device="cuda", units=units)
        targets = draw.normal(size=(64, 2)).astype(np.float32)
        made.train_step(Batch(inputs=draw.normal(size=(64, 9, 2)).astype(np.float32), targets=targets))
        peaks.append(made.device_memory_bytes())
        del made
        gc.collect()
    assert peaks[1] < peaks[0]
