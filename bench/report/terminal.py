"""The results table, the framework comparison and the claims, printed in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.plan.trial import Trial
from bench.records.store import Store, Survey
from bench.report.comparison.pairs import compare_frameworks, readable_summary
from bench.report.frames import read_records, rows_of, sweep_frame
from bench.report.names import framework_name, head
from bench.report.paper.claims.findings import NOT_REPRODUCED
from bench.report.paper.claims.tables import to_json
from bench.report.paper.claims.terminal import claim_lines
from bench.report.paper.claims.verdicts import judge
from bench.report.speed.times import glance, passes_frame, read_benchmarks, times_table
from bench.report.tables.results import aggregate, readable

# What a terminal has room for; the page and the CSV have the rest.
SHOWN = (
    "framework", "seeds", "quality", "metric", "reported", "solved", "update_ratio", "step_milliseconds", "status",
)  # fmt: skip


# Characters; wider than any table.
UNBOUNDED = 10_000


def show_results(sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Prints one row a configuration; trials without a record have the status `missing`."""
    survey = read_records(sweep, results=results, trials=trials)
    table = aggregate(sweep_frame(survey, trials=trials))
    text = readable(table).text
    shown = text[["task", *SHOWN]]
    shown.insert(1, "configuration", table["label"])
    _print(shown, title=f"{sweep}: mean ± standard deviation over seeds", console=console)
    _name_problems(survey, console=console)


def show_comparison(sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Prints the paired differences, then what was not compared and why."""
    survey = read_records(sweep, results=results, trials=trials)
    comparison = compare_frameworks(sweep_frame(survey))
    summary = readable_summary(comparison)
    if summary.empty:
        console.print(f"{sweep}: no pairs to compare")
    else:
        first = comparison.summary.iloc[0]
        sides = f"{framework_name(first['right'])} against {framework_name(first['left'])}"
        title = f"{sweep}: {sides}, mean [95 % bootstrap interval]"
        _print(summary, title=title, console=console)
    for words, rows in (("not a pair", comparison.refused), ("not compared", comparison.incomplete)):
        for row in rows_of(rows):
            line = f"{words}: {row['problem']}, {row['label']}, seed {row['seed']} ({row['reason']})"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    for line in comparison.conditions:
        console.print(f"note: {line}", markup=False, highlight=False, soft_wrap=True)
    _name_problems(survey, console=console)


def show_speed(*, results: Path, console: Console) -> None:
    """Prints one row a skip cell and engine: its time at 100 % updates, and the ratios."""
    text = glance(times_table(passes_frame(read_benchmarks(results))))
    _print(text, title="speed: medians over passes", console=console)


def show_claims(
    sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None, as_json: bool = False
) -> bool:
    """Prints the verdicts, then the numbers behind them, or all of it as JSON; see `bench.report.print_claims`."""
    survey = read_records(sweep, results=results, trials=trials)
    verdicts = judge(sweep_frame(survey, trials=trials), store=Store(results))
    lines = [to_json(verdicts)] if as_json else claim_lines(verdicts, sweep=sweep)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    _name_problems(survey, console=Console(stderr=True) if as_json else console)
    return all(verdict.verdict != NOT_REPRODUCED for verdict in verdicts)


def _name_problems(survey: Survey, *, console: Console) -> None:
    for problem in survey.problems().values():
        console.print(f"left out: {problem}", markup=False, highlight=False, soft_wrap=True)


def _print(text: pd.DataFrame, *, title: str, console: Console) -> None:
    table = Table(title=title, box=None, title_justify="left", pad_edge=False, header_style="bold")
    for name in text:
        table.add_column(head(str(name)), overflow="fold")
    for row in text.astype(str).to_numpy().tolist():
        table.add_row(*map(Text, row))
    if not console.is_terminal:  # rich would fold it into 80 columns
        unbounded = console.options.update(width=UNBOUNDED)
        console.width = max(console.width, console.measure(table, options=unbounded).maximum)
    console.print(table)
