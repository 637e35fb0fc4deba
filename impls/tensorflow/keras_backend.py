"""Keras's backend, which has to be TensorFlow.

It is found out before Keras is imported: beside TensorFlow, the import of another backend may end the process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

TENSORFLOW = "tensorflow"


def check_keras_backend() -> None:
    """Raises `ImportError` where Keras runs on another backend, or will once it is imported."""
    keras = sys.modules.get("keras")
    backend = keras.config.backend() if keras else _configured_backend()
    if backend != TENSORFLOW:
        raise ImportError(
            f"Keras's backend is {backend!r} where impls.tensorflow needs {TENSORFLOW!r}: set the environment variable "
            f"KERAS_BACKEND={TENSORFLOW} before Keras is imported"
        )


def _configured_backend() -> str:
    """What `keras.src.backend.config` will read: the variable, else the file."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return named
    home = os.path.expanduser("~")
    home = home if os.access(home, os.W_OK) else "/tmp"
    folder = Path(os.path.expanduser(os.environ.get("KERAS_HOME", f"{home}/.keras")))
    try:
        return str(json.loads((folder / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, LookupError, TypeError):  # as Keras takes it, or Keras tells what is wrong with it
        return TENSORFLOW
