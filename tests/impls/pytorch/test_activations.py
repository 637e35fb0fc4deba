"""The activations of the compiled kernels against the mathematical library."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
numba = pytest.importorskip("numba")

from impls.contract import ACTIVATIONS  # noqa: E402
from impls.pytorch.engines.kernels.activations import KINDS, activate, slope  # noqa: E402
from impls.pytorch.engines.kernels.lanes import lanewise  # noqa: E402


@lanewise(KINDS, x=1, y=1, derivative=1)
def apply(kind, x):
    y = activate(kind, x)
    return {"y": y, "derivative": slope(kind, y, x.constant(1))}


@numba.njit
def run(kind, x, y, derivative):
    apply(kind, (x, y, derivative))


EXPECTED = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": (lambda x: np.where(x < 0, 0, x), lambda x: np.where(np.isnan(x), 0, x > 0)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "identity": (lambda x: x, np.ones_like),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes(name: str, dtype: type, tolerance: float) -> None:
    small = np.concatenate([np.logspace(-30, 1, 500), -np.logspace(-30, 1, 500)])
    x = np.concatenate([np.linspace(-30, 30, 3080), small, [0, -0.0, 80, -80] * 4]).astype(dtype)
    x = x[: x.size // 64 * 64]
    y, derivative = np.empty_like(x), np.empty_like(x)
    run(ACTIVATIONS.index(name), x, y, derivative)
    value, its_slope = EXPECTED[name]
    exact = x.astype(np.float64)
    np.testing.assert_allclose(y, value(exact), rtol=tolerance, atol=1e-37)
    np.testing.assert_allclose(derivative, its_slope(exact), rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_is_not_finite(name: str) -> None:
    x = np.full(64, np.nan, np.float32)
    x[:2] = np.inf, -np.inf
    y, derivative = np.empty_like(x), np.empty_like(x)
    run(ACTIVATIONS.index(name), x, y, derivative)
    assert np.isnan(y[2:]).all()
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(y[:2], EXPECTED[name][0](x[:2].astype(np.float64)), atol=1e-37)


def test_far_out_a_sigmoid_is_nothing_at_all() -> None:
    x = np.full(64, -89.0, np.float32)
    x[:3] = -88.3, -1e4, -3e38
    y, derivative = np.empty_like(x), np.empty_like(x)
    run(ACTIVATIONS.index("sigmoid"), x, y, derivative)
    np.testing.assert_array_equal(y, 0)
