"""The products of the compiled kernels against NumPy's, with the registers of this machine and of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
numba = pytest.importorskip("numba")

from impls.pytorch.engines.kernels.products import multiply, pack, panel_width  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@numba.njit
def product(left, transposed, rows, depth, packed, columns, result, add):
    multiply(left, 1, 2, transposed, rows, depth, packed, 0, columns, result, 1, 3, add)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_products(dtype: type, add: bool, transposed: bool) -> None:
    """Every number of rows up to a full tile and beyond, products deeper than a block, within larger matrices."""
    generator = np.random.default_rng(0)
    for rows, depth in [*((rows, 5) for rows in range(1, 27)), (7, 300), (13, 1)]:
        columns = 3 * panel_width(dtype)
        shape = (depth, rows) if transposed else (rows, depth)
        left = generator.standard_normal((shape[0] + 2, shape[1] + 4)).astype(dtype)
        right = generator.standard_normal((depth, columns)).astype(dtype)
        result = generator.standard_normal((rows + 2, columns + 5)).astype(dtype)
        inner = left[1 : 1 + shape[0], 2 : 2 + shape[1]]
        expected = result.copy()
        part = expected[1 : 1 + rows, 3 : 3 + columns]
        part[...] = (inner.T if transposed else inner) @ right + (part if add else 0)
        packed = np.empty(right.size, dtype)
        pack(right, 0, 0, depth, columns, packed, 0)
        product(left, transposed, rows, depth, packed, columns, result, add)
        np.testing.assert_allclose(result, expected, rtol=0, atol=np.finfo(dtype).eps * 8 * depth)


@pytest.mark.slow
def test_on_a_machine_with_other_registers(tmp_path: Path) -> None:
    """The compiler makes do with the registers that it has, so that the tile of another machine can be run here."""
    program = """
from llvmlite import binding

real = binding.get_host_cpu_features
class Other(binding.FeatureMap):
    def get(self, name, default=None):
        return not super().get(name, False) if name == "avx512f" else super().get(name, default)
binding.get_host_cpu_features = lambda: Other(real())

from impls.pytorch.engines.kernels import products
assert (products.TILE_PANELS == 2) != real().get("avx512f", False)
from tests.impls.pytorch.test_products import np, test_products
test_products(np.float32, True, False)
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
