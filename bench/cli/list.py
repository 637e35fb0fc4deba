"""`list`: the sweeps, tasks, cells and frameworks, one a line."""

from __future__ import annotations

import os

# Columns where the output is not a terminal and nothing says how wide it is.
PLAIN_WIDTH = 100


def list_everything() -> None:
    """Show the sweeps, tasks and cells, one a line; a dry run shows the whole of a sweep."""
    from rich.console import Console
    from rich.text import Text

    from bench.plan import sweep as sweeps
    from bench.tasks import task_classes
    from impls.contract import FRAMEWORKS, MODEL_ENGINES
    from impls.kinds import cells

    rows: list[tuple[str, str, str, str]] = []
    for name in sweeps.available():
        sweep = sweeps.load(name)
        rows.append(("sweep", name, f"{len(sweep.trials)} trials", sweep.description))
    for name, task in task_classes().items():
        rows.append(("task", name, task.quality_metric, task.summary))
    plain_or_skip = {cell: "learns to skip state updates" if "skip" in cell else "plain" for cell in cells()}
    rows += [("cell", cell, "", summary) for cell, summary in plain_or_skip.items()]
    rows += [("framework", framework, "", f"engines: {', '.join(MODEL_ENGINES)}") for framework in FRAMEWORKS]

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = Text(" ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
        line.truncate(console.width, overflow="ellipsis")
        console.print(line, highlight=False)
