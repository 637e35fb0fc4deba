"""Writes a report: records in, a folder with the page, tables, figures, article and their data out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.plan.trial import Trial
from bench.report.article.article import article
from bench.report.company import MIXED, MIXED_TIMES
from bench.report.comparison.files import write_comparison
from bench.report.content import Content, read_content
from bench.report.figures.style import house_style, save
from bench.report.folder import replacing
from bench.report.frames import LABELS
from bench.report.html.rendering import named_apart, render
from bench.report.names import head
from bench.report.page.outline import page_sections
from bench.report.paper.claims.sections import write_claims
from bench.report.paper.regenerated import write_tables
from bench.report.speed.page import write_speed_tables
from bench.report.tables.formats import escape_markdown, to_long_latex, to_markdown
from bench.report.tables.printed import printed
from bench.report.tables.results import said_once, settings_said


def write(
    sweep: str, *, results: Path, reports: Path, trials: Sequence[Trial] | None, command: str, description: str
) -> Path:
    """See `bench.report.write_report`."""
    with house_style():
        content = read_content(sweep, results=results, trials=trials, command=command, description=description)
        with replacing(reports / sweep) as folder:
            _write_tables(folder, content)
            _write_page(folder, content)
            (folder / "paper.tex").write_text(article(content), encoding="utf-8")
    return reports / sweep / "index.html"


def _write_page(folder: Path, content: Content) -> None:
    parts = named_apart(page_sections(content))
    for part in parts:
        for picture in part.pictures:
            save(picture, folder=folder / "figures")
    page = render(
        title=f"Skip RNN benchmark: {content.sweep}",
        description=content.description,
        sections=parts,
        figures=folder / "figures",
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _write_tables(folder: Path, content: Content) -> None:
    sweep = content.sweep
    content.trials.drop(columns=list(LABELS)).to_csv(folder / "records.csv", index=False)
    content.table.drop(columns=list(LABELS)).to_csv(folder / "results.csv", index=False)
    markdown = to_markdown(content.text.varying.rename(columns=head))
    markdown = "".join(f"{escape_markdown(line)}\n\n" for line in said_once(content.text)) + markdown
    (folder / "results.md").write_text(markdown, encoding="utf-8")
    caption = f"Sweep {sweep}: mean ± sample standard deviation over runs, on test data."
    if MIXED in set(content.table["company"]):
        caption += f" {MIXED_TIMES}"
    caption = " ".join([caption, *settings_said(content.table, where="row")])
    latex = to_long_latex(printed(content.table), caption=caption, label=f"tab:{sweep}")
    (folder / "results.tex").write_text(latex, encoding="utf-8")
    write_comparison(folder, content.compared, sweep=sweep)
    write_claims(folder, content.verdicts, sweep=sweep)
    write_tables(content.paper.tables, folder=folder / "paper")
    if content.benchmarks is not None:
        write_speed_tables(folder, content.benchmarks.times)
