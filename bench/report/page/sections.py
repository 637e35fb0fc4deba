"""What the page says: one function a section, each from the frames alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.words import agreement
from bench.report.figures.style import Picture
from bench.report.frames import STATUSES, rows_of
from bench.report.numbers import number
from bench.report.page.glossary import evaluation_words, glossary
from bench.report.page.rendering import Details, PageTable, Section
from bench.report.tables.results import ReadableTable

QUALITY_IS = "quality is of the evaluation named under reported"


def summary(trials: pd.DataFrame, comparison: Comparison) -> Section:
    """In words: how many trials ended how, the best of each task, and whether the frameworks agree."""
    counts = {status: int((trials["status"] == status).sum()) for status in STATUSES}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    points = []
    ok = trials[trials["status"] == "ok"]
    for problem, rows in ok.groupby("problem", sort=False):
        points.append(_best(str(problem), rows, total=int((trials["problem"] == problem).sum())))
    silent = [problem for problem in trials["problem"].unique() if problem not in set(ok["problem"])]
    points += [f"{problem}: no trial ended ok." for problem in silent]
    points += _agreement(comparison)
    return Section(title="Summary", prose=[f"{_many(len(trials), 'trial')}: {told}."], points=points)


def _best(problem: str, rows: pd.DataFrame, *, total: int) -> str:
    higher = bool(rows["higher_is_better"].iloc[0])
    means = rows.groupby(["label", "framework"], sort=False)[["quality", "update_ratio"]].mean().reset_index()
    best = rows_of(means.sort_values("quality", ascending=not higher, kind="stable"))[0]
    metric = str(rows["quality_metric"].iloc[0]).replace("_", " ")
    text = (
        f"{problem}: the best mean {metric} is {number(best['quality'])}, by {best['label']} "
        f"in {best['framework']}, with an update ratio of {number(best['update_ratio'], digits=3)}, "
        f"{evaluation_words(rows['reported'])}"
    )
    if rows["solved"].notna().any():
        text += f"; {sum(solved is True for solved in rows['solved'])} of {_many(total, 'trial')} solved the task"
    return text + "."


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _agreement(comparison: Comparison) -> list[str]:
    prose = agreement(comparison)
    if len(comparison.refused):
        prose.append(f"{_many(len(comparison.refused), 'pair')} refused: they differ in more than the framework.")
    return prose


def what_ran(trials: pd.DataFrame, *, sweep: str, command: str) -> Section:
    """The sweep, the command, the machines and the versions behind the records."""
    facts = [("sweep", sweep)]
    if command:
        facts.append(("command", command))
    facts.append(("trials", str(len(trials))))
    dates = sorted(date for date in _distinct(trials, "finished") if date)
    if dates:
        facts.append(("finished", " to ".join(dict.fromkeys((dates[0], dates[-1])))))
    for key, words in (
        ("processor", "processor"), ("cores", "cores"), ("memory_bytes", "memory"), ("gpu", "GPU"),
        ("system", "system"), ("threads", "threads of a trial"), ("python", "Python"),
    ):  # fmt: skip
        values = _distinct(trials, f"environment.{key}")
        if key == "memory_bytes":
            values = [f"{float(value) / 2**30:.0f} GiB" for value in values]
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
        "trials that ended ok. Rows with a hole are marked. A click on a column's head sorts by it. Quality, updates, "
        "FLOPs and work are of the test data, at the evaluation that the column reported names."
    ]
    if table.constant:
        same = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in table.constant.items())
        prose.append(f"The same in every row: {same}.")
    return Section(
        title="Results",
        prose=prose,
        tables=[PageTable(caption=f"Means ± standard deviations over seeds; {QUALITY_IS}", text=table.varying)],
        links=[("results.csv (full precision)", "results.csv"), ("results.md", "results.md"),
               ("results.tex", "results.tex")],
    )  # fmt: skip


def figures(title: str, pictures: Sequence[Picture], *, otherwise: str, prose: Sequence[str] = ()) -> Section:
    """A section of figures, or a sentence on why there are none."""
    return Section(title=title, prose=list(prose) if pictures else [otherwise], pictures=pictures)


def holes(trials: pd.DataFrame) -> Section:
    """Every trial that is not ok, with its error and traceback."""
    troubled = trials[trials["status"] != "ok"]
    if troubled.empty:
        return Section(title="Trials that did not end ok", prose=["None: every trial ended ok."])
    text = pd.DataFrame(
        {
            "task": troubled["problem"],
            "configuration": troubled["label"],
            "framework": troubled["framework"],
            "seed": troubled["seed"],
            "status": troubled["status"],
            "error": [
                error or ("no record yet" if status == "missing" else "–")
                for error, status in zip(troubled["error"], troubled["status"], strict=True)
            ],
            "trial_id": troubled["trial_id"],
        }
    )
    details = [
        Details(title=f"Traceback of {row['trial_id']} ({row['label']}, {row['framework']})", text=row["traceback"])
        for row in rows_of(troubled)
        if row["traceback"]
    ]
    return Section(
        title="Trials that did not end ok",
        prose=["They are left out of every mean and figure, and counted in the results table."],
        tables=[PageTable(caption="Trials that did not end ok", text=text)],
        details=details,
    )


def meanings(columns: Iterable[str]) -> Section:
    """What the columns mean."""
    return Section(title="Glossary", facts=[(name.replace("_", " "), text) for name, text in glossary(columns)])


def provenance(trials: pd.DataFrame) -> Section:
    """Where every number comes from."""
    columns = ["trial_id", "pair_id", "problem", "label", "framework", "seed", "status"]
    text = trials[[*columns, "parameters_checksum", "batches_checksum"]]
    text = text.rename(columns={"problem": "task", "label": "configuration"}).replace("", "–")
    return Section(
        title="Provenance",
        prose=["Every number comes from these trials' records, results/trials/<trial_id>/record.json."],
        tables=[PageTable(caption="Trials", text=text)],
        links=[("records.csv (one row a trial)", "records.csv"), ("comparison.csv", "comparison.csv"),
               ("pairs.csv", "pairs.csv")],
        folded=True,
    )  # fmt: skip
