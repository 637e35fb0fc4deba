"""What the page says: one function a section, each from the frames alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.company import MIXED, MIXED_TIMES
from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.words import agreement
from bench.report.figures.style import Picture
from bench.report.frames import MISSING, STATUSES, rows_of
from bench.report.glossary import evaluation_words, glossary
from bench.report.html.rendering import Details, PageTable, Section
from bench.report.names import (
    UPDATES_IN_PERCENT,
    best_word,
    framework_name,
    gibibytes,
    head,
    many,
    metric_name,
    metric_text,
    seeds_name,
)
from bench.report.numbers import number
from bench.report.paper.claims.tables import counted
from bench.report.paper.claims.verdicts import Verdict
from bench.report.tables.results import ReadableTable, said_once

QUALITY_IS = "quality is of the evaluation that stands beside it"


def summary(trials: pd.DataFrame, comparison: Comparison, *, verdicts: Sequence[Verdict]) -> Section:
    """In words: how many trials ended how, the best of each task, whether the frameworks agree, and the claims."""
    counts = {status: int((trials["status"] == status).sum()) for status in STATUSES}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    points = []
    ok = trials[trials["status"] == "ok"]
    for problem, rows in ok.groupby("problem", sort=False):
        points.append(_best(str(problem), rows, asked=trials[trials["problem"] == problem]))
    silent = [problem for problem in trials["problem"].unique() if problem not in set(ok["problem"])]
    points += [f"{problem}: no trial ended ok." for problem in silent]
    points += [*_agreement(comparison), f"{counted(verdicts)}."]
    return Section(title="Summary", prose=[f"{many(len(trials), 'trial')}: {told}."], points=points)


def _best(problem: str, rows: pd.DataFrame, *, asked: pd.DataFrame) -> str:
    first = rows_of(rows)[0]
    metric, higher = str(first["quality_metric"]), bool(first["higher_is_better"])
    means = rows.groupby(["label", "framework"], sort=False).agg(
        quality=("quality", lambda each: each.mean(skipna=False)),  # no mean of the seeds that came to something
        update_ratio=("update_ratio", "mean"),
        updates=("updates", "mean"),
        seeds=("seed", "count"),
    )
    means["asked"] = asked.groupby(["label", "framework"])["seed"].count()
    ranked = means[means["quality"].notna()].sort_values("quality", ascending=not higher, kind="stable").reset_index()
    solved = ""
    if rows["solved"].notna().any():
        missing = int((asked["status"] == MISSING).sum())
        ended = many(len(asked) - missing, "trial")
        solved = f"{sum(value is True for value in rows['solved'])} of {ended} solved the task"
        solved += f", {missing} not run" if missing else ""
    if ranked.empty:
        some = "no configuration" if rows["quality"].notna().any() else "no trial"
        return f"{problem}: {some} has a finite {metric_name(metric)}" + (f"; {solved}." if solved else ".")
    best = rows_of(ranked)[0]
    value = metric_text(metric, best["quality"])
    over = f", the mean of {seeds_name(best['seeds'], asked=best['asked'])}," if best["asked"] > 1 else ""
    text = f"{problem}: {best_word(higher_is_better=higher)} {metric_name(metric)} {value}{over} "
    text += f"by {best['label']} in {framework_name(best['framework'])}, with {_used(best, first)}, "
    return text + evaluation_words(rows["reported"]) + (f"; {solved}." if solved else ".")


def _used(best: dict[str, Any], trial: dict[str, Any]) -> str:
    """How much is used, in the unit in which the paper tells it of the task."""
    if trial["task"] in UPDATES_IN_PERCENT or pd.isna(best["updates"]):
        return f"{number(100 * best['update_ratio'], digits=3)} % of the steps used"
    return f"{number(best['updates'])} of {trial['length']} samples used"


def _agreement(comparison: Comparison) -> list[str]:
    told = agreement(comparison)
    if len(comparison.refused):
        told.append(f"{many(len(comparison.refused), 'pair')} refused: they differ in more than the framework.")
    return told


def what_ran(trials: pd.DataFrame, *, sweep: str, command: str) -> Section:
    """The sweep, the command, the machines and the versions behind the records."""
    facts = [("sweep", sweep)]
    if command:
        facts.append(("command", command))
    facts.append(("trials", f"{len(trials):,}"))
    for problem, options in trials[["problem", "options"]].drop_duplicates().itertuples(index=False):
        if options:
            facts.append((f"options of {problem}", options))
    dates = sorted(f"{date[:16].replace('T', ' ')} UTC" for date in _distinct(trials, "finished") if date)
    if dates:
        facts.append(("finished", " to ".join(dict.fromkeys((dates[0], dates[-1])))))
    for key, words in (
        ("processor", "processor"), ("cores", "cores"), ("memory_bytes", "memory"), ("gpu", "GPU"),
        ("system", "system"), ("threads", "threads of a trial"), ("python", "Python"),
        ("variables", "environment variables"), ("task_code", "code of other packages' tasks"),
    ):  # fmt: skip
        values = _distinct(trials, f"environment.{key}")
        if key == "memory_bytes":
            values = list(dict.fromkeys(gibibytes(float(value)) for value in values))
        if key == "threads":
            values = ["the framework's default" if value == "0" else value for value in values]
        if values:
            facts.append((words, "; ".join(values)))
    packages = [name for name in map(str, trials) if name.startswith("environment.packages.")]
    versions = [f"{name.rpartition('.')[2]} {' and '.join(_distinct(trials, name))}" for name in packages]
    if versions:
        facts.append(("packages", ", ".join(versions)))
    return Section(title="What ran", facts=facts)


def _distinct(trials: pd.DataFrame, column: str) -> list[str]:
    if column not in trials:
        return []
    values = trials[column].dropna().unique().tolist()
    return sorted({f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value) for value in values})


def results(table: ReadableTable) -> Section:
    """The results table; holes are rows like any other."""
    prose = [
        "One row a configuration: means over seeds ± their sample standard deviation (divisor n − 1), of the "
        "trials that ended ok. Rows with a hole are marked. Quality, updates, FLOPs and work are of the test data, at "
        "the evaluation that stands beside them. ⋮ at the end of a row's first cell leads to its trials."
    ]
    if MIXED in set(table.text["company"]):
        prose.append(MIXED_TIMES)
    prose += said_once(table)
    return Section(
        title="Results",
        prose=prose,
        tables=[
            PageTable(
                caption=f"Means ± standard deviations over seeds; {QUALITY_IS}",
                text=table.varying,
                trials=table.trial_ids,
            )
        ],
        links=[("results.csv (full precision)", "results.csv"), ("results.md", "results.md"),
               ("results.tex", "results.tex")],
    )  # fmt: skip


def figures(
    title: str,
    pictures: Sequence[Picture],
    *,
    otherwise: str,
    prose: Sequence[str] = (),
    problems: Iterable[str] = (),
) -> Section:
    """A section of figures, or a sentence on why there are none; `problems` without one are named."""
    if not pictures:
        return Section(title=title, prose=[otherwise])
    drawn = {problem for picture in pictures for problem in picture.about.get("task", ())}
    without = [problem for problem in problems if problem not in drawn]
    told = [f"Without a figure, for want of such trials: {'; '.join(without)}."] if without else []
    return Section(title=title, prose=[*prose, *told], pictures=pictures)


def holes(trials: pd.DataFrame, *, problems: Mapping[str, str]) -> Section:
    """Every trial that is not ok, with its error and traceback, and what is wrong with records that were left out.

    Args:
        trials: of the sweep.
        problems: what is wrong, by trial id.
    """
    troubled = trials[trials["status"] != "ok"]
    told = set(troubled["trial_id"])
    points = [f"Left out: {problem}" for trial_id, problem in problems.items() if trial_id not in told]
    if troubled.empty:
        prose = [] if points else ["None: every trial ended ok."]
        return Section(title="Trials that did not end ok", prose=prose, points=points)
    text = pd.DataFrame(
        {
            "task": troubled["problem"],
            "configuration": troubled["label"],
            "framework": troubled["framework"].map(framework_name),
            "seed": troubled["seed"],
            "status": troubled["status"],
            "error": [
                error or ("no record yet" if status == MISSING else "–")
                for error, status in zip(troubled["error"], troubled["status"], strict=True)
            ],
            "trial_id": troubled["trial_id"],
        }
    )
    details = [
        Details(
            title=f"Traceback of {row['trial_id']} ({row['label']}, {framework_name(row['framework'])})",
            text=row["traceback"],
        )
        for row in rows_of(troubled)
        if row["traceback"]
    ]
    return Section(
        title="Trials that did not end ok",
        prose=["They are left out of every mean and figure, and counted in the results table."],
        points=points,
        tables=[PageTable(caption="Trials that did not end ok", text=text)],
        details=details,
    )


def meanings(columns: Iterable[str]) -> Section:
    """What the columns mean."""
    return Section(title="Glossary", facts=[(head(name), text) for name, text in glossary(columns)])


def provenance(trials: pd.DataFrame) -> Section:
    """Where every number comes from."""
    columns = ["trial_id", "pair_id", "problem", "label", "framework", "seed", "status"]
    text = trials[[*columns, "parameters_checksum", "batches_checksum"]]
    text = text.rename(columns={"problem": "task", "label": "configuration"}).replace("", "–")
    text["framework"] = text["framework"].map(framework_name)
    return Section(
        title="Provenance",
        prose=[
            "Every number comes from these trials' records, results/trials/<trial_id>/record.json. One of them is made "
            "again, apart, by: python run_all.py --trial <trial_id>"
        ],
        tables=[PageTable(caption="Trials", text=text)],
        links=[("records.csv (one row a trial)", "records.csv"), ("comparison.csv", "comparison.csv"),
               ("pairs.csv", "pairs.csv")],
        folded=True,
    )  # fmt: skip
