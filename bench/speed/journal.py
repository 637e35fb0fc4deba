"""Benchmarks as they are measured, a line each: what is there is kept, whatever becomes of the process.

Each line is a part of the JSON object that all of them make: lists go on, and so does what is `cut`; the rest is told
once, before the first benchmark.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def note(journal: Path, part: dict[str, Any]) -> None:
    """Adds a line; a benchmark's parameters are told in words."""
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(part, default=str) + "\n")


def noted(journal: Path) -> dict[str, Any] | None:
    """What all lines tell, as pytest-benchmark's JSON object; None where no benchmark was measured.

    A last line that was not written to its end is left out.
    """
    content: dict[str, Any] = {"benchmarks": [], "failed": [], "cut": {}}
    lines = journal.read_text(encoding="utf-8").split("\n")[:-1] if journal.is_file() else []
    for line in lines:
        for name, told in json.loads(line).items():
            if isinstance(content.get(name), list):
                content[name].extend(told)
            elif name == "cut":
                content[name].update(told)
            else:
                content[name] = told
    return content if content["benchmarks"] else None
