"""Keras's settings: layers refuse another backend before it is imported, a trial heeds neither backend nor type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from impls.tensorflow.keras_backend import check_keras_backend

ROOT = Path(__file__).resolve().parents[3]
REFUSAL = "Keras's backend is 'torch' where impls.tensorflow needs 'tensorflow': set the environment variable "
REFUSAL += "KERAS_BACKEND=tensorflow before Keras is imported"
# An evaluation by the one engine whose layers are Keras's.
TRIAL = """
import numpy as np
from impls.contract import Batch, CellSpec, ModelSpec, OptimizerSpec, build_learner
from impls.parameters import initial_parameters
spec = ModelSpec(cell=CellSpec(cell="gru", units=(3,), input_size=2), output_size=1, loss="mean_squared_error")
learner = build_learner(
    "tensorflow", model=spec, optimizer=OptimizerSpec(learning_rate=0.01), parameters=initial_parameters(spec, seed=0),
    engine="native",
)
batch = Batch(inputs=np.ones((2, 4, 2), np.float32), targets=np.ones((2, 1), np.float32))
predictions = learner.evaluate(batch).predictions
import keras
print(keras.config.backend(), keras.config.floatx(), predictions.dtype)
"""


def settings(folder: Path, text: str) -> str:
    (folder / "keras.json").write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("variable", "file", "refused"),
    [
        ("torch", {}, True),
        ("torch", {"backend": "tensorflow"}, True),
        (None, {"backend": "torch"}, True),
        ("", {"backend": "torch"}, True),
        ("tensorflow", {"backend": "torch"}, False),
        (None, {"floatx": "float32"}, False),
        (None, None, False),
    ],
)
def test_backend_is_found_where_keras_would_find_it(
    variable: str | None, file: dict[str, str] | None, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if variable is not None:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    if file is not None:
        settings(tmp_path, json.dumps(file))
    if refused:
        with pytest.raises(ImportError, match=f"^{REFUSAL}$"):
            check_keras_backend()
    else:
        check_keras_backend()


def test_a_user_without_a_home_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number which no name has."""
    monkeypatch.delitem(sys.modules, "keras")
    for name in ("KERAS_HOME", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    check_keras_backend()


def test_backend_of_keras_in_memory_is_asked_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(config=SimpleNamespace(backend=lambda: "torch")))
    with pytest.raises(ImportError, match=REFUSAL):
        check_keras_backend()


def test_refusal_comes_before_any_framework_is_imported() -> None:
    program = "import sys\ntry:\n    import impls.tensorflow\nexcept ImportError as error:\n    print(error)\n"
    program += "print({'tensorflow', 'torch', 'keras'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [REFUSAL, "set()"]


@pytest.mark.slow
def test_a_trial_heeds_no_setting_of_keras(tmp_path: Path) -> None:
    home = settings(tmp_path, json.dumps({"backend": "torch", "floatx": "float64"}))
    done = subprocess.run(
        [sys.executable, "-c", TRIAL],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["tensorflow", "float64", "float32"]
