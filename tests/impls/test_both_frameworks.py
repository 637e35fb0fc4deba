"""Both frameworks in one process, whichever comes first: Triton's LLVM would meet TensorFlow's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

for framework in ("torch", "tensorflow", "triton"):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
COMPILER = "import torch._dynamo, triton; print('both')"


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [
        "import impls.tensorflow, impls.pytorch",
        pytest.param("import impls.pytorch, impls.tensorflow", marks=pytest.mark.slow),
        pytest.param("import torch, tensorflow, impls.tensorflow", marks=pytest.mark.slow),
    ],
)
def test_pytorchs_compiler_loads_beside_tensorflow(first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{first}; {COMPILER}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["both"]


@pytest.mark.slow
def test_tensorflow_alone_does_not_load_triton() -> None:
    code = "import impls.tensorflow, sys; print('triton' in sys.modules, 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr[-2000:]
