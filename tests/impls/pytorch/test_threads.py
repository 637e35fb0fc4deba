"""Layers trained by several threads of one process at once: each as if it were alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from impls.contract import ENGINES
from impls.pytorch import GRU, SkipGRU, SkipLSTM

STEPS = 8


def trained(layer_class: Any, seed: int, engine: str) -> list[torch.Tensor]:
    """The parameters after some steps on data of its own."""
    layer = layer_class((8, 16), input_size=3, seed=seed, dtype="float64", engine=engine)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    x = torch.randn(40, 12, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for _ in range(STEPS):
        optimizer.zero_grad()
        outputs, _ = layer(x)
        ((outputs.h**2).mean() + 1e-2 * outputs.state_gate.mean()).backward()
        optimizer.step()
    return [value.detach() for value in layer.parameters()]


@pytest.mark.parametrize("engine", ENGINES)
def test_three_threads_train_three_layers_at_once(engine: str) -> None:
    work = [(SkipLSTM, 1, engine), (SkipGRU, 2, engine), (GRU, 3, engine)]
    alone = [trained(*task) for task in work]
    for _ in range(3):
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda task: trained(*task), work))
        for ours, theirs in zip(together, alone, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
