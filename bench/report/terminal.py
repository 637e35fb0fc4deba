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
from bench.report.company import MIXED, MIXED_TIMES
from bench.report.comparison import left_out, words
from bench.report.comparison.comparisons import compare_all
from bench.report.comparison.tables import cost_table, null_table, outcome_table, skipping_table
from bench.report.frames import curves_frame, read_records, sweep_frame
from bench.report.names import head
from bench.report.paper.claims.findings import NOT_REPRODUCED
from bench.report.paper.claims.tables import to_json
from bench.report.paper.claims.terminal import claim_lines
from bench.report.paper.claims.verdicts import judge
from bench.report.speed.implementations import every_step_on_a_gpu
from bench.report.speed.times import glance, passes_frame, read_benchmarks, times_table, unknown_workloads
from bench.report.tables.results import aggregate, readable

# What a terminal has room for; the page and the CSV have the rest.
SHOWN = (
    "framework", "seeds", "quality", "metric", "reported", "solved", "update_ratio", "step_milliseconds",
    "reported_step_milliseconds", "status",
)  # fmt: skip


# Characters; wider than any table.
UNBOUNDED = 10_000
# Cells of a comparison hold intervals or several pairs, and fold.
COMPARISON_WIDTH = 100
# Columns that need not stand in every row where they are the same in all.
SAID_ONCE = ("task", "engine", "pairs", "trials", "metric")
# Between two columns.
GAP = 2


def show_results(sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Prints one row a configuration; trials without a record have the status `missing`."""
    survey = read_records(sweep, results=results, trials=trials)
    table = aggregate(sweep_frame(survey, trials=trials))
    text = readable(table).text
    shown = text[["task", *SHOWN]]
    shown.insert(1, "configuration", table["label"])
    _print(shown, title=f"{sweep}: mean ± standard deviation over seeds", console=console)
    if MIXED in set(text["company"]):
        _say(MIXED_TIMES, console=console)
    _name_problems(survey, console=console)


def show_comparison(sweep: str, *, results: Path, console: Console, trials: Sequence[Trial] | None = None) -> None:
    """Prints frameworks, frameworks beside engines and what skipping saves, then what was not compared and why."""
    survey = read_records(sweep, results=results, trials=trials)
    frame = sweep_frame(survey, trials=trials)
    compared = compare_all(frame, curves=curves_frame(frame, store=Store(results)))
    frameworks = compared.frameworks
    nothing = left_out.nothing_to_compare(frame, frameworks)
    if nothing:
        _say(nothing, console=console)
    else:
        title = f"{sweep}: {words.signs(frameworks)}; means [95 % interval], pairs themselves below five"
        outcome = outcome_table(frameworks).drop(columns=["reported", "updates_difference", "flops_ratio"])
        _print(outcome, title=title, console=console, width=COMPARISON_WIDTH)
        _print(cost_table(frameworks), title="times and memory: ratios", console=console, width=COMPARISON_WIDTH)
    if len(compared.null.sizes):
        title = "root mean squared differences (pairs), and where pairs part"
        _print(null_table(compared.null), title=title, console=console, width=COMPARISON_WIDTH)
    for line in [*words.agreement(frameworks), *words.against_null(compared.null)]:
        _say(line, console=console)
    if len(compared.skipping.summary):
        title = "does skipping pay? time / time of the plain cell"
        _print(skipping_table(compared.skipping), title=title, console=console, width=COMPARISON_WIDTH)
    for line in [*words.payment(compared.skipping), *left_out.untimed(compared.skipping)]:
        _say(line, console=console)
    for reason, rows in (("not a pair", frameworks.refused), ("not compared", frameworks.incomplete)):
        for line in left_out.uncompared(rows):
            _say(f"{reason}: {line}", console=console)
    for line in [*left_out.unlike(frameworks), *left_out.not_numbers(frameworks)]:
        _say(f"note: {line}", console=console)
    _name_problems(survey, console=console)


def show_speed(*, results: Path, console: Console) -> None:
    """Prints one row a skip cell and engine: its time at 100 % updates, and the ratios."""
    content = read_benchmarks(results)
    _print(glance(times_table(passes_frame(content))), title="speed: medians over passes", console=console)
    for line in [*unknown_workloads(content), *every_step_on_a_gpu(content)]:
        _say(line, console=console)


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
        _say(f"left out: {problem}", console=console)


def _say(line: str, *, console: Console) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print(text: pd.DataFrame, *, title: str, console: Console, width: int | None = None) -> None:
    """Prints a table: as wide as it is, or folded into `width` columns where words leave it that room.

    What is the same in every row of a table that folds stands in its title.
    """
    if width and len(text) > 1:
        same = [name for name in SAID_ONCE if name in text and text[name].nunique() == 1]
        title = "; ".join([title, *(f"{head(name)} {text[name].iloc[0]}" for name in same)])
        text = text.drop(columns=same)
    # As text: an option in it may read as markup.
    table = Table(
        title=Text(title, style="table.title"), box=None, title_justify="left", pad_edge=False, header_style="bold"
    )
    heads = [head(str(name)) for name in text]
    rows = text.astype(str).to_numpy().tolist()
    widths: Sequence[int | None] = [None] * len(heads)
    if width:
        room = console.width if console.is_terminal else width
        widths = _folded([list(cells) for cells in zip(heads, *rows, strict=True)], room=room)
    for name, wide in zip(heads, widths, strict=True):
        table.add_column(name, overflow="fold", width=wide)
    for row in rows:
        table.add_row(*map(Text, row))
    if not console.is_terminal:  # rich would fold it into 80 columns
        unbounded = console.options.update(width=UNBOUNDED)
        console.width = max(console.width, console.measure(table, options=unbounded).maximum)
    console.print(table)


def _folded(columns: Sequence[Sequence[str]], *, room: int) -> list[int]:
    """The widths of columns of cells, so that no word breaks; what room is left goes where most is folded."""
    widths = [max(len(word) for cell in cells for word in cell.split()) for cells in columns]
    wanted = [max(map(len, cells)) for cells in columns]
    for _ in range(room - sum(widths) - GAP * len(columns)):
        most = max(range(len(widths)), key=lambda number: wanted[number] - widths[number])
        widths[most] += wanted[most] > widths[most]
    return widths
