"""Writes a report: records in, a folder with the page, tables, figures and their data out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench.plan.trial import Trial
from bench.records.listing import read_listing
from bench.records.store import Store
from bench.report.comparison.pairs import Comparison, compare_frameworks, readable_summary
from bench.report.figures import differences, learning_curves, quality, sequences, step_times
from bench.report.figures.style import house_style, save
from bench.report.folder import replacing
from bench.report.frames import LABELS, curves_frame, read_records, set_aside, sweep_frame
from bench.report.names import head
from bench.report.page import sections
from bench.report.page.rendering import Section, render
from bench.report.paper.article import Frameworks, article
from bench.report.paper.claims.sections import claim_sections, write_claims
from bench.report.paper.claims.verdicts import Verdict, judge
from bench.report.paper.regenerated import RegeneratedPaper, regenerate_paper, write_tables
from bench.report.paper.sections import paper_sections
from bench.report.speed.page import speed_sections, write_speed_tables
from bench.report.speed.times import passes_frame, read_benchmarks, times_table
from bench.report.tables.formats import to_long_latex, to_markdown
from bench.report.tables.printed import printed
from bench.report.tables.results import ReadableTable, aggregate, readable


def write(
    sweep: str, *, results: Path, reports: Path, trials: Sequence[Trial] | None, command: str, description: str
) -> Path:
    """See `bench.report.write_report`."""
    survey = read_records(sweep, results=results, trials=trials)
    listing = read_listing(results, sweep)
    asked = [trial.id for trial in trials] if trials is not None else listing.trials if listing else []
    without = [trial_id for trial_id in asked if trial_id not in survey.records]
    problems = set_aside(without, results=results) | survey.problems()
    frame = sweep_frame(survey, trials=trials, problems=problems)
    store = Store(results)
    with replacing(reports / sweep) as folder:
        _write_into(
            folder, frame, problems=problems, store=store, sweep=sweep, command=command, description=description
        )
    return reports / sweep / "index.html"


def _write_into(
    folder: Path,
    frame: pd.DataFrame,
    *,
    problems: Mapping[str, str],
    store: Store,
    sweep: str,
    command: str,
    description: str,
) -> None:
    table = aggregate(frame)
    text = readable(table)
    comparison = compare_frameworks(frame)
    _write_tables(folder, frame, table=table, text=text, comparison=comparison, sweep=sweep)
    verdicts = judge(frame, store=store)
    write_claims(folder, verdicts, sweep=sweep)
    with house_style():
        paper = regenerate_paper(frame, store=store)
        parts = page_sections(
            frame,
            paper,
            text=text,
            comparison=comparison,
            verdicts=verdicts,
            problems=problems,
            store=store,
            sweep=sweep,
            command=command,
        )
        parts += _speed_sections(folder, results=store.results)
        for part in parts:
            for picture in part.pictures:
                save(picture, folder=folder / "figures")
    write_tables(paper.tables, folder=folder / "paper")
    text_of_article = article(
        paper,
        frame,
        sweep=sweep,
        description=description,
        facts=sections.what_ran(frame, sweep=sweep, command=command).facts,
        frameworks=_frameworks(comparison),
    )
    (folder / "paper.tex").write_text(text_of_article, encoding="utf-8")
    page = render(
        title=f"Skip RNN benchmark: {sweep}", description=description, sections=parts, figures=folder / "figures"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def page_sections(
    frame: pd.DataFrame,
    paper: RegeneratedPaper,
    *,
    text: ReadableTable,
    comparison: Comparison,
    verdicts: Sequence[Verdict],
    problems: Mapping[str, str],
    store: Store,
    sweep: str,
    command: str,
) -> list[Section]:
    """The page's sections in order; a new part of the report is a line here. Draws the figures."""
    named = list(frame["problem"].unique())
    return [
        sections.summary(frame, comparison),
        *claim_sections(verdicts),
        sections.what_ran(frame, sweep=sweep, command=command),
        *paper_sections(paper),
        sections.results(text),
        sections.figures(
            "Learning curves",
            learning_curves.learning_curves(curves_frame(frame, store=store), frame),
            otherwise="No trial left a learning curve.",
            problems=named,
        ),
        sections.figures(
            "Quality against update ratio",
            quality.quality_against_update_ratio(frame),
            otherwise="No trial ended ok with a finite quality.",
            problems=named,
        ),
        sections.figures(
            "Training time",
            step_times.step_times(frame),
            otherwise="No trial ended ok with a measured step.",
            problems=named,
        ),
        sections.figures(
            "Used and skipped",
            sequences.used_and_skipped(frame, store=store),
            otherwise="No skip cell skipped anything.",
            prose=["What learned gates look at: skip cells that skip something, on the same test sequences."],
        ),
        sections.framework_comparison(comparison, differences.framework_differences(comparison, frame)),
        sections.holes(frame, problems=problems),
        sections.meanings([*text.varying.columns, *text.constant]),
        sections.provenance(frame),
    ]


def _frameworks(comparison: Comparison) -> Frameworks | None:
    """The comparison as the article shows it."""
    text = readable_summary(comparison)
    if text.empty:
        return None
    return Frameworks(direction=sections.directions(comparison), text=text)


def _speed_sections(folder: Path, *, results: Path) -> list[Section]:
    """What the benchmarks of the cells measured beside the sweep, where they were run."""
    if not (results / "speed" / "benchmarks.json").exists():
        return []
    content = read_benchmarks(results)
    table = times_table(passes_frame(content))
    write_speed_tables(folder, table)
    return speed_sections(content, table)


def _write_tables(
    folder: Path,
    frame: pd.DataFrame,
    *,
    table: pd.DataFrame,
    text: ReadableTable,
    comparison: Comparison,
    sweep: str,
) -> None:
    frame.drop(columns=list(LABELS)).to_csv(folder / "records.csv", index=False)
    table.drop(columns=list(LABELS)).to_csv(folder / "results.csv", index=False)
    comparison.summary.to_csv(folder / "comparison.csv", index=False)
    comparison.pairs.to_csv(folder / "pairs.csv", index=False)
    (folder / "results.md").write_text(to_markdown(text.varying.rename(columns=head)), encoding="utf-8")
    caption = f"Sweep {sweep}: mean ± sample standard deviation over runs, on test data."
    latex = to_long_latex(printed(table), caption=caption, label=f"tab:{sweep}")
    (folder / "results.tex").write_text(latex, encoding="utf-8")
