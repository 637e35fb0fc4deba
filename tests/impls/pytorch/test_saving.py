"""Every way to save that PyTorch has, of every public class: by outputs of a fresh object with other weights."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import impls.pytorch as twin
from tests.impls.frameworks import leaves

X = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(7))
NAMES = tuple(twin.__all__)


def build(name: str, *, seed: int, **options: Any) -> Any:
    units = (2, 5) if name.startswith("Multi") else 5
    return getattr(twin, name)(units, seed=seed, input_size=3, layer_norm=True, **options)


def outputs(name: str, module: Any) -> list[torch.Tensor]:
    with torch.no_grad():
        return leaves(module(X[:, 0] if name.endswith("Cell") else X))


def through_bytes(value: Any, **options: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


def assert_same(name: str, ours: Any, theirs: Any, *, tolerance: float = 0.0) -> None:
    for one, other in zip(outputs(name, ours), outputs(name, theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_state_dictionary_restores_a_fresh_module(name: str) -> None:
    saved, fresh = build(name, seed=1), build(name, seed=2)
    assert any((one != other).any() for one, other in zip(outputs(name, saved), outputs(name, fresh), strict=True))
    fresh.load_state_dict(through_bytes(saved.state_dict(), weights_only=True))
    assert_same(name, saved, fresh)


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_pickles_compute_the_same(name: str) -> None:
    module = build(name, seed=1)
    for other in (
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
        through_bytes(module, weights_only=False),
    ):
        assert_same(name, module, other)
        other.load_state_dict(build(name, seed=2).state_dict())
        assert_same(name, other, build(name, seed=2))  # its weights are its own
        assert_same(name, module, build(name, seed=1))


# An export takes a second: each layer's, and one of either kind of cell that skips, alone or in a stack.
OFTEN = ("LSTM", "GRU", "SkipLSTM", "SkipGRU", "SkipGRUCell", "MultiSkipLSTMCell")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in NAMES]
)
def test_exported_program_computes_the_same(name: str, tmp_path: Path) -> None:
    module = build(name, seed=1)
    example = X[:, 0] if name.endswith("Cell") else X[:, :3]
    torch.export.save(torch.export.export(module, (example,)), tmp_path / "module.pt2")
    loaded = torch.export.load(tmp_path / "module.pt2").module()
    for one, other in zip(leaves(module(example)), leaves(loaded(example)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
