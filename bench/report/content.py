"""What a report is made of: everything that its page, files and article read, computed once from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import SpeedError
from bench.plan.trial import Trial
from bench.records.listing import read_listing
from bench.records.store import Store
from bench.report.comparison.comparisons import Comparisons, compare_all
from bench.report.frames import curves_frame, read_records, set_aside, sweep_frame
from bench.report.paper.claims.verdicts import Verdict, judge
from bench.report.paper.regenerated import RegeneratedPaper, regenerate_paper
from bench.report.speed.times import Benchmarks, benchmarks_beside
from bench.report.tables.results import ReadableTable, aggregate, readable


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a report of a sweep is made of.

    Attributes:
        sweep, command, description: its name, the command line that ran it, and what its file says of it.
        store: of the records, for the files beside them.
        trials: one row a trial, those without a record included.
        problems: what is wrong with records that are left out, by trial id.
        curves: one row an evaluation.
        table: one row a configuration, in numbers, and `text`, the same for people.
        compared: frameworks, engines and skipping.
        paper: its tables and figures.
        verdicts: of the claims.
        benchmarks: of the cells; None where they were not run, or their file cannot be read: then `benchmarks_problem`
            says why.
    """

    sweep: str
    command: str
    description: str
    store: Store
    trials: pd.DataFrame
    problems: Mapping[str, str]
    curves: pd.DataFrame
    table: pd.DataFrame
    text: ReadableTable
    compared: Comparisons
    paper: RegeneratedPaper
    verdicts: Sequence[Verdict]
    benchmarks: Benchmarks | None
    benchmarks_problem: str


def read_content(
    sweep: str, *, results: Path, trials: Sequence[Trial] | None, command: str, description: str
) -> Content:
    """Reads the records and computes all of it. Arguments as of `write_report`.

    Raises `RecordError` where no record can be believed, and what `content_of` raises.
    """
    survey = read_records(sweep, results=results, trials=trials)
    listing = read_listing(results, sweep)
    asked = [trial.id for trial in trials] if trials is not None else listing.trials if listing else []
    without = [trial_id for trial_id in asked if trial_id not in survey.records]
    problems = set_aside(without, results=results) | survey.problems()
    frame = sweep_frame(survey, trials=trials, problems=problems)
    return content_of(
        frame, store=Store(results), problems=problems, sweep=sweep, command=command, description=description
    )


def content_of(
    frame: pd.DataFrame, *, store: Store, problems: Mapping[str, str], sweep: str, command: str, description: str
) -> Content:
    """All of it for trials as `trials_frame` makes them; draws the paper's figures.

    Raises `RecordError` for a file of a trial that cannot be read.
    """
    benchmarks, benchmarks_problem = None, ""
    try:
        benchmarks = benchmarks_beside(store.results)
    except SpeedError as error:
        benchmarks_problem = str(error)
    curves = curves_frame(frame, store=store)
    table = aggregate(frame)
    compared = compare_all(frame, curves=curves)
    return Content(
        sweep=sweep,
        command=command,
        description=description,
        store=store,
        trials=frame,
        problems=problems,
        curves=curves,
        table=table,
        text=readable(table),
        compared=compared,
        paper=regenerate_paper(frame, store=store),
        verdicts=judge(frame, store=store, null=compared.null),
        benchmarks=benchmarks,
        benchmarks_problem=benchmarks_problem,
    )
