"""Denormal numbers: zero inside the compiled kernels, and as before outside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")
numba = pytest.importorskip("numba")

from impls.pytorch import SkipLSTM  # noqa: E402
from impls.pytorch.device import set_threads  # noqa: E402
from impls.pytorch.engines.kernels.denormals import denormals_as_before, denormals_to_zero  # noqa: E402

SMALLEST = float(np.nextafter(np.float32(2.0**-126), np.float32(1.0)))  # half of it is denormal


@pytest.fixture(autouse=True)
def denormals_count() -> Iterator[None]:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor's denormals cannot be set")
    yield
    torch.set_flush_denormal(False)


def half_of_smallest() -> float:
    return float((torch.full((1,), SMALLEST) * 0.5).item())


@numba.njit
def halves(numbers):
    control = denormals_to_zero()
    inside = numbers[0] * numbers[1]
    denormals_as_before(control)
    return inside, numbers[0] * numbers[1]


def test_zero_inside_and_as_before_outside() -> None:
    inside, outside = halves(np.array([SMALLEST, 0.5], np.float32))
    assert inside == 0
    assert 0 < outside < SMALLEST


def test_a_layer_leaves_its_caller_denormals() -> None:
    layer = SkipLSTM(3, input_size=2, engine="fast", seed=1)
    outputs, _ = layer(torch.ones(2, 4, 2))
    outputs.h.sum().backward()
    assert half_of_smallest() > 0


def test_a_trial_takes_them_as_zero() -> None:
    set_threads(0)
    assert half_of_smallest() == 0
