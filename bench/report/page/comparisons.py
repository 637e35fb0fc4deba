"""What the page says of the comparison: frameworks, frameworks beside engines, and whether skipping pays."""

from __future__ import annotations

import pandas as pd

from bench.report.comparison import left_out, words
from bench.report.comparison.comparisons import Comparisons
from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.skipping import Skipping
from bench.report.comparison.tables import cost_table, null_table, outcome_table, skipping_table, uncompared_table
from bench.report.figures.differences import framework_differences
from bench.report.figures.null_pairs import frameworks_beside_engines
from bench.report.figures.skipping import time_against_updates
from bench.report.html.rendering import PageTable, Section
from bench.report.speed.implementations import every_step_on_a_gpu
from bench.report.speed.other_engines import framework_ratios
from bench.report.speed.times import Benchmarks


def comparison_sections(
    compared: Comparisons, trials: pd.DataFrame, *, benchmarks: Benchmarks | None = None
) -> list[Section]:
    """The page's sections; draws their figures. `benchmarks` of the cells stand beside, where they were run."""
    return [
        _frameworks(compared.frameworks, trials, benchmarks=benchmarks),
        _null(compared),
        _skipping(compared.skipping),
    ]


def _frameworks(comparison: Comparison, trials: pd.DataFrame, *, benchmarks: Benchmarks | None) -> Section:
    prose, tables = [], []
    nothing = left_out.nothing_to_compare(trials, comparison)
    if nothing:
        prose.append(nothing)
    else:
        prose += [words.HOW_PAIRED, f"{words.HOW_JUDGED} {words.margins_text()}", words.HOW_TIMED]
        signs = words.signs(comparison)
        tables.append(PageTable(caption=f"Quality and updates: {signs}", text=outcome_table(comparison)))
        tables.append(PageTable(caption=f"Times and memory: {signs}", text=cost_table(comparison)))
    if benchmarks is not None and len(ratios := framework_ratios(benchmarks.times)):
        tables.append(
            PageTable(
                caption="The same step by engine, and by the frameworks' own layers: TensorFlow's time / PyTorch's, "
                "from the benchmarks (medians over passes)",
                text=ratios,
                note=" ".join(every_step_on_a_gpu(benchmarks.content)),
            )
        )
    for frame, caption in (
        (comparison.refused, "Not pairs: these differ in more than the framework"),
        (comparison.incomplete, "Without a partner that ended ok"),
    ):
        if len(frame):
            tables.append(PageTable(caption=caption, text=uncompared_table(frame)))
    return Section(
        title="Framework comparison",
        prose=prose,
        points=[*left_out.unlike(comparison), *left_out.not_numbers(comparison)],
        tables=tables,
        pictures=framework_differences(comparison, trials),
        links=[("comparison.csv (every measure, with p-values)", "comparison.csv"), ("pairs.csv", "pairs.csv"),
               ("comparison.md", "comparison.md"), ("comparison.tex", "comparison.tex")],
    )  # fmt: skip


def _null(compared: Comparisons) -> Section:
    tables = []
    if len(compared.null.sizes):
        tables.append(
            PageTable(
                caption="Root mean squared paired differences (pairs); how many pairs part, and their median step",
                text=null_table(compared.null),
                note="Parted: a loss of training or validation differs by more than 0.1 %, at an evaluation; losses of "
                "single steps are not recorded, so the step is known to the nearest evaluation. × are factors.",
            )
        )
    if len(compared.engines.summary):
        caption = f"Times and memory of two engines of one framework: {words.signs(compared.engines)}"
        tables.append(PageTable(caption=caption, text=cost_table(compared.engines)))
    return Section(
        title="Frameworks beside engines",
        prose=[
            "Two computations of the same training part by rounding alone. Two engines of one framework are such a "
            "pair; what frameworks differ by is to be seen beside it."
        ],
        points=[*words.against_null(compared.null), *left_out.unlike(compared.engines)],
        tables=tables,
        pictures=frameworks_beside_engines(compared.frameworks, compared.engines),
    )


def _skipping(skipping: Skipping) -> Section:
    points = [*words.payment(skipping), *left_out.untimed(skipping), *left_out.without_plain(skipping)]
    if not points:
        points = ["No trial skips, so there is nothing to judge."]
    text = skipping_table(skipping)
    return Section(
        title="Does skipping pay?",
        prose=[
            "Times of trials that skip, over those of the plain cell of their kind, of the same seed, framework and "
            "engine. Where a time follows the updates, the ratio comes down to the update ratio."
        ],
        points=points,
        tables=[PageTable(caption="Time / time of the plain cell", text=text)] if len(text) else [],
        pictures=time_against_updates(skipping),
    )
