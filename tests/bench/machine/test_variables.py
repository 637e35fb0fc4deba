"""What a record tells of the environment's variables that frameworks read, and what it keeps to itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine.environment import environment
from bench.machine.gpus import gpu_variables
from bench.machine.threads import library_variables
from bench.machine.variables import library_settings
from bench.train.conditions import conditions

ROOT = Path(__file__).resolve().parents[3]


def test_what_a_user_set_is_told_by_name() -> None:
    settings = library_settings({"XLA_FLAGS": "--xla_a=1\n  --xla_b", "HOME": "/x", "TF_ENABLE_ONEDNN_OPTS": "0"})
    assert settings == "TF_ENABLE_ONEDNN_OPTS=0; XLA_FLAGS=--xla_a=1 --xla_b"


def test_what_the_cells_tell_xla_on_a_gpu_is_not_the_users() -> None:
    pytest.importorskip("tensorflow")
    from impls.tensorflow.gpu_loops import LOOPS_ON_THE_GPU

    assert library_settings({"XLA_FLAGS": f"--xla_a=1 {LOOPS_ON_THE_GPU}"}) == "XLA_FLAGS=--xla_a=1"
    assert library_settings({"XLA_FLAGS": LOOPS_ON_THE_GPU}) == ""


def test_a_byte_that_is_no_text_is_told_by_its_number() -> None:
    assert library_settings({"OMP_TOOL_X": os.fsdecode(b"caf\xe9")}) == r"OMP_TOOL_X=caf\udce9"


@pytest.mark.parametrize(
    "name",
    ["ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "LD_PRELOAD", "NUMBA_FASTMATH", "NVIDIA_TF32_OVERRIDE",
     "TF_XLA_FLAGS", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "XLA_FLAGS"],
)  # fmt: skip
def test_numbers_and_speed_depend_on(name: str) -> None:
    assert library_settings({name: "x"}) == f"{name}=x"


@pytest.mark.parametrize(
    "name",
    ["CUDA_HOME", "CUDA_VISIBLE_DEVICES", "MY_XLA_FLAGS", "NUMBA_CACHE_DIR", "NVIDIA_API_KEY", "OMP_NUM_THREADS",
     "TF_CPP_MIN_LOG_LEVEL", "TF_TOKEN_app_terraform_io", "TF_VAR_db_password", "TORCH_HOME", "TORCH_LOGS",
     "TRITON_CACHE_DIR", "XLA_TOKEN", "OMP_password", "TF_ENABLE_password"],
)  # fmt: skip
def test_places_logs_and_secrets_are_not_told(name: str) -> None:
    assert library_settings({name: "x"}) == ""


def test_what_the_harness_sets_is_told_where_the_user_chose_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MKL_CBWR", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert library_settings(library_variables(2)) == ""
    assert library_settings(library_variables(2) | {"OMP_WAIT_POLICY": "ACTIVE"}) == "OMP_WAIT_POLICY=ACTIVE"


@pytest.mark.slow
def test_a_trial_goes_on_on_any_slot_of_any_executor() -> None:
    """What a trial is started with, and what is imported in it, is not what its user set."""
    found = []
    for more in ({}, gpu_variables(None), gpu_variables("0")):
        program = (
            "import threadpoolctl, sklearn, torch\n"
            "from bench.train.conditions import conditions\n"
            "print(conditions(threads=1, checksums='x'))"
        )
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **library_variables(1), **more}
        done = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
        )
        found.append(done.stdout)
    assert found[0] == found[1] == found[2]
    assert "environment variables" not in found[0]


def test_a_record_names_them_and_a_trial_does_not_go_on_under_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.machine.environment.library_settings", lambda: "XLA_FLAGS=a")
    assert environment(threads=1)["variables"] == "XLA_FLAGS=a"
    monkeypatch.setattr("bench.machine.environment.library_settings", str)
    assert "variables" not in environment(threads=1)

    found = []
    for settings in ("", "XLA_FLAGS=a", "XLA_FLAGS=b"):
        monkeypatch.setattr("bench.train.conditions.library_settings", lambda settings=settings: settings)
        found.append(conditions(threads=1, checksums="x"))
    assert found[0] != found[1] != found[2]
    assert "environment variables" not in found[0], "checkpoints of before go on"
