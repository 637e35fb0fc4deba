"""Memory that is handed on: never while anything still looks at it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from impls.pytorch.engines.kernels.tape_memory import reused_array  # noqa: E402


def address(array) -> int:
    return array.__array_interface__["data"][0]


def test_the_next_array_has_the_memory_of_the_last() -> None:
    first = reused_array((100, 10), np.float32)
    where = address(first)
    del first
    assert address(reused_array((10, 20), np.float64)) == where


@pytest.mark.parametrize(
    "look", [lambda array: array[3:, 2:], torch.from_numpy, lambda array: torch.from_numpy(array[1:])]
)
def test_memory_that_is_looked_at_is_not_handed_on(look) -> None:
    first = reused_array((100, 10), np.float32)
    first[...] = 1
    kept = look(first)
    del first
    reused_array((100, 10), np.float32)[...] = 2
    assert (kept == 1).all()


def test_what_does_not_fit_is_new() -> None:
    small = reused_array((10,), np.float32)
    del small
    large = reused_array((1000, 1000), np.float32)
    large[...] = 3
    assert large.sum() == 3e6


def test_an_empty_array() -> None:
    assert reused_array((0, 5), np.float32).shape == (0, 5)
