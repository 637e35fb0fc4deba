"""`card`: writes the model card of a results folder."""

from __future__ import annotations

from pathlib import Path

from bench.cli.archive import REFERENCE
from bench.cli.options import ResultsOption


def card(results: ResultsOption = REFERENCE) -> None:
    """Write MODEL.md of a results folder: whose parameters it holds, how well they did, how to load them."""
    from bench.machine.disk import write_atomically
    from bench.report.model_card import NAME, model_card

    text, path = model_card(results), results / NAME

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)
    print(f"model card: {path}")
