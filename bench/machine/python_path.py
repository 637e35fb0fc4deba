"""Where another Python that this one starts finds the project."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_path() -> str:
    """For `PYTHONPATH`: this project first, installed or not, then what stands there, which others may come by."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
