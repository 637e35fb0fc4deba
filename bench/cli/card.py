"""`card`: writes the model card of a results folder."""

from __future__ import annotations

from bench.cli.archive import REFERENCE
from bench.cli.options import ResultsOption


def card(results: ResultsOption = REFERENCE) -> None:
    """Write MODEL.md of a results folder: whose parameters it holds, how well they did, how to load them."""
    from bench.machine.disk import write_text
    from bench.report.model_card import NAME, model_card

    path = results / NAME
    write_text(path, model_card(results))
    print(f"model card: {path}")
