"""The page's outline: its sections, in the order in which a reader wants them."""

from __future__ import annotations

from bench.report.content import Content
from bench.report.figures import learning_curves, quality, sequences, step_times
from bench.report.html.rendering import Section
from bench.report.page import sections
from bench.report.page.comparisons import comparison_sections
from bench.report.paper.claims.sections import claim_sections
from bench.report.paper.sections import paper_sections
from bench.report.speed.page import benchmark_sections


def page_sections(content: Content) -> list[Section]:
    """The sections; a new part of the report is a line here. Draws the figures."""
    trials = content.trials
    problems = list(trials["problem"].unique())
    return [
        sections.summary(trials, content.compared.frameworks, verdicts=content.verdicts),
        *paper_sections(content.paper),
        *claim_sections(content.verdicts),
        sections.results(content.text),
        sections.figures(
            "Learning curves",
            learning_curves.learning_curves(content.curves, trials),
            otherwise="No trial ended ok with a learning curve.",
            problems=problems,
        ),
        sections.figures(
            "Quality against update ratio",
            quality.quality_against_update_ratio(trials),
            otherwise="No configuration ended ok with finite qualities.",
            problems=problems,
        ),
        sections.figures(
            "Training time",
            step_times.step_times(trials),
            otherwise="No trial ended ok with a measured step.",
            problems=problems,
        ),
        sections.figures(
            "Used and skipped",
            sequences.used_and_skipped(trials, store=content.store),
            otherwise="No skip cell skipped anything.",
            prose=["What learned gates look at: skip cells that skip something, on the same test sequences."],
        ),
        *comparison_sections(content.compared, trials, benchmarks=content.benchmarks),
        *benchmark_sections(content.benchmarks, problem=content.benchmarks_problem),
        sections.what_ran(trials, sweep=content.sweep, command=content.command),
        sections.holes(trials, problems=content.problems),
        sections.meanings([*content.text.varying.columns, *content.text.constant]),
        sections.provenance(trials),
    ]
