"""Writes a report: records in, a folder with the page, tables, figures and their data out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.plan.trial import Trial
from bench.records.store import Store
from bench.report.comparison.comparisons import Comparisons, compare_all
from bench.report.comparison.files import write_comparison
from bench.report.comparison.sections import comparison_sections
from bench.report.figures import learning_curves, quality, sequences, step_times
from bench.report.figures.style import house_style, save
from bench.report.folder import replacing
from bench.report.frames import LABELS, curves_frame, read_records, sweep_frame
from bench.report.page import sections
from bench.report.page.rendering import Section, render
from bench.report.speed.page import speed_sections, write_speed_tables
from bench.report.speed.times import passes_frame, read_benchmarks, times_table
from bench.report.tables.formats import to_latex, to_markdown
from bench.report.tables.results import ReadableTable, aggregate, readable


def write(
    sweep: str, *, results: Path, reports: Path, trials: Sequence[Trial] | None, command: str, description: str
) -> Path:
    """See `bench.report.write_report`."""
    frame = sweep_frame(read_records(sweep, results=results, trials=trials), trials=trials)

    with replacing(reports / sweep) as folder:
        _write_into(folder, frame, store=Store(results), sweep=sweep, command=command, description=description)
    return reports / sweep / "index.html"


def _write_into(folder: Path, frame: pd.DataFrame, *, store: Store, sweep: str, command: str, description: str) -> None:
    table = aggregate(frame)
    text = readable(table)
    curves = curves_frame(frame, store=store)
    compared = compare_all(frame, curves=curves)
    _write_tables(folder, frame, table=table, text=text, sweep=sweep)
    write_comparison(folder, compared, sweep=sweep)
    with house_style():
        parts = page_sections(
            frame, text=text, compared=compared, curves=curves, store=store, sweep=sweep, command=command
        )
        parts += _speed_sections(folder, results=store.results)
        for part in parts:
            for picture in part.pictures:
                save(picture, folder=folder / "figures")
    page = render(
        title=f"Skip RNN benchmark: {sweep}", description=description, sections=parts, figures=folder / "figures"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def page_sections(
    frame: pd.DataFrame,
    *,
    text: ReadableTable,
    compared: Comparisons,
    curves: pd.DataFrame,
    store: Store,
    sweep: str,
    command: str,
) -> list[Section]:
    """The page's sections in order; a new part of the report is a line here. Draws the figures."""
    return [
        sections.summary(frame, compared.frameworks),
        sections.what_ran(frame, sweep=sweep, command=command),
        sections.results(text),
        sections.figures(
            "Learning curves",
            learning_curves.learning_curves(curves, frame),
            otherwise="No trial left a learning curve.",
        ),
        sections.figures(
            "Quality against update ratio",
            quality.quality_against_update_ratio(frame),
            otherwise="No trial ended ok.",
        ),
        sections.figures("Training time", step_times.step_times(frame), otherwise="No trial ended ok."),
        sections.figures(
            "Used and skipped",
            sequences.used_and_skipped(frame, store=store),
            otherwise="No skip cell skipped anything.",
            prose=["What learned gates look at: skip cells that skip something, on the same test sequences."],
        ),
        *comparison_sections(compared, frame, times=_speed_times(store.results)),
        sections.holes(frame),
        sections.meanings([*text.varying.columns, *text.constant]),
        sections.provenance(frame),
    ]


def _speed_times(results: Path) -> pd.DataFrame | None:
    """The benchmarks' times, where they were run."""
    if not (results / "speed" / "benchmarks.json").exists():
        return None
    return times_table(passes_frame(read_benchmarks(results)))


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
    sweep: str,
) -> None:
    frame.drop(columns=list(LABELS)).to_csv(folder / "records.csv", index=False)
    table.drop(columns=list(LABELS)).to_csv(folder / "results.csv", index=False)
    (folder / "results.md").write_text(to_markdown(text.varying), encoding="utf-8")
    caption = f"Sweep {sweep}: mean ± sample standard deviation over seeds; {sections.QUALITY_IS}."
    latex = to_latex(text.varying, caption=caption, label=f"tab:{sweep}")
    (folder / "results.tex").write_text(latex, encoding="utf-8")
