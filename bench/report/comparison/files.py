"""The comparison as files beside the page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.report.comparison.comparisons import Comparisons
from bench.report.comparison.tables import cost_table, outcome_table
from bench.report.comparison.words import signs
from bench.report.tables.formats import to_latex, to_markdown

LINKED = ("comparison", "pairs")


def write_comparison(folder: Path, compared: Comparisons, *, sweep: str) -> None:
    """Writes the comparison's tables: CSV with every number, Markdown and LaTeX of quality, updates and times.

    What there is nothing of, such as null pairs in a sweep of one engine, has no CSV, unless the page leads to it.
    """
    summaries = [part.summary for part in (compared.frameworks, compared.engines) if len(part.summary)]
    everything = pd.concat(summaries, ignore_index=True) if summaries else pd.DataFrame()
    for name, frame in (
        ("comparison", everything),
        ("pairs", compared.frameworks.pairs),
        ("null_pairs", compared.engines.pairs),
        ("skipping", compared.skipping.trials),
    ):
        if len(frame.columns) or name in LINKED:
            frame.to_csv(folder / f"{name}.csv", index=False)
    texts = {"outcome": outcome_table(compared.frameworks), "cost": cost_table(compared.frameworks)}
    texts = {name: text for name, text in texts.items() if len(text)}
    captions = {
        "outcome": f"Sweep {sweep}: quality and updates, {signs(compared.frameworks) or 'nothing to compare'}.",
        "cost": f"Sweep {sweep}: times and memory, as ratios.",
    }
    markdown = [f"{captions[name]}\n\n{to_markdown(text)}" for name, text in texts.items()]
    latex = [to_latex(text, caption=captions[name], label=f"tab:{sweep}-{name}") for name, text in texts.items()]
    nothing = "No two trials form a pair.\n"
    (folder / "comparison.md").write_text("\n".join(markdown) or nothing, encoding="utf-8")
    (folder / "comparison.tex").write_text("\n".join(latex) or f"% {nothing}", encoding="utf-8")
