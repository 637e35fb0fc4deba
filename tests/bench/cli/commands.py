"""The programs as a person starts them, for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report.figures.style import Picture

ROOT = Path(__file__).resolve().parents[3]
# Two trials in seconds.
MINI = """
description = "a sweep in seconds"
[[grid]]
task = "adding"
cell = "skip_gru"
units = 3
framework = ["pytorch", "tensorflow"]
options.length = 6
protocol = { steps = 4, batch_size = 8, evaluate_every = 2, evaluation_sequences = 16 }
"""


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python WORDS` at the project's root, as wide as a large window."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"} | environment,
        check=False,
        timeout=240,
    )


def save_nothing(picture: Picture, *, folder: Path) -> None:
    """Stands in for what writes a figure of a report, where the page is the question."""
    folder.mkdir(exist_ok=True)
    (folder / f"{picture.name}.svg").write_text("<svg/>")
