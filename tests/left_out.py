"""Files of tests that need a package which is not here, such as TensorFlow's where PyTorch alone is measured."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

IMPORTED = re.compile(r"^(?:import|from) (?:impls\.)?(tensorflow|keras|cosmic_ray)\b", re.MULTILINE)


def left_out(folder: Path) -> Iterator[Path]:
    """The files under a folder that import one of these packages at once, where it is not installed."""
    for path in sorted(folder.rglob("test_*.py")):
        needed = set(IMPORTED.findall(path.read_text(encoding="utf-8")))
        if any(importlib.util.find_spec(package) is None for package in needed):
            yield path
