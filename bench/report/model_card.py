"""The model card of a results folder: whose parameters it holds, how well they did, and how to load them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from bench.errors import RecordError
from bench.records.files import PARAMETERS_OF, left_out
from bench.records.record import Record
from bench.records.store import Store
from bench.report.frames import configuration_fields, rows_of, trials_frame
from bench.report.names import framework_name, listed, metric_head, metric_scale
from bench.report.numbers import NO_NUMBER, number, spread
from bench.report.tables.formats import escape_markdown

NAME = "MODEL.md"
# The head of means and deviations.
OVER_SEEDS = "of seeds that ended ok"

HEAD = """# Models

Written by `python -m bench card` from the records beside it; nothing here is edited by hand.

Recurrent networks of the Skip RNN family (Campos et al., ICLR 2018) as this project's trials trained them: one
recurrent cell or stack, and one linear readout. For each row of a sweep and each framework, the parameters of its best
seed by the reported quality are here. The mean and standard deviation over its seeds that ended ok stand beside, since
the best of several is better than what another training may be expected to give; where not all of them did, `seeds`
says how many. A row is named by what sets it apart from most rows of its task; its record has the rest.

## Load one

    from bench.records.trained import trained_layer

    layer = trained_layer("{folder}/trials/<trial id>", "pytorch")    # or "tensorflow": either, whichever trained it

It is a `SkipLSTM`, `SkipGRU`, `LSTM` or `GRU` of `impls.<framework>`. `read_trained` of the same module gives the
record and all parameters, the readout's among them. A plain cell with random or periodic skips takes its gates at each
call (`updates=`).

## What they are for

They show which steps a skip cell uses, and let the tables be checked. They are trained on synthetic sequences and
small images, by the protocols that their records tell, and are fit for nothing else.
"""


def model_card(results: Path) -> str:
    """The card of all trials of a results folder whose parameters are there, as Markdown.

    Raises `RecordError` where there are none.
    """
    store = Store(results)
    survey = store.survey()
    if not survey.records:
        raise RecordError(f"{store.folder}: holds no record; archive a sweep into it first")
    trials = trials_frame(survey.records.values())
    kept = {record.trial_id for record in survey.records.values() if _has_parameters(store, record)}
    if not kept:
        raise RecordError(f"{store.folder}: holds no trial's parameters")
    place = trials.groupby(configuration_fields(trials), sort=False, dropna=False).ngroup()
    sections = []
    for problem, part in trials.groupby("problem", sort=False):
        # By themselves, since what sets tasks apart is no part of a row's name here.
        labels = trials_frame(survey.records[trial_id] for trial_id in part["trial_id"])["label"]
        part = part.assign(label=list(labels))
        sections.append(_section(str(problem), part, place=place.loc[part.index], kept=kept))
    return "\n".join([HEAD.format(folder=results.as_posix()), *filter(None, sections), _made(trials)])


def _has_parameters(store: Store, record: Record) -> bool:
    folder, name = store.folder_of(record.trial_id), PARAMETERS_OF[record.reported]
    return (folder / name).is_file() and name not in left_out(folder)


def _section(problem: str, trials: pd.DataFrame, *, place: pd.Series[int], kept: set[str]) -> str:
    """A table of one problem; empty where no parameters of it are kept."""
    rows = []
    for _, group in trials.groupby([place, trials["framework"]], sort=False):
        ended = group[group["status"] == "ok"]
        scale = metric_scale(str(group["quality_metric"].iloc[0]))
        quality, updates = scale * ended["quality"], 100 * ended["update_ratio"]
        rows += [
            [
                row["trial_id"],
                row["label"],
                framework_name(row["framework"]),
                str(row["units"]),
                str(row["seed"]),
                number(scale * row["quality"]),
                _over_seeds(quality),
                number(100 * row["update_ratio"]),
                _over_seeds(updates),
                str(len(ended)) if len(ended) == len(group) else f"{len(ended)} of {len(group)}",
            ]
            for row in rows_of(group)
            if row["trial_id"] in kept
        ]
    if not rows:
        return ""
    first = rows_of(trials)[0]
    metric = metric_head(first["quality_metric"], higher_is_better=first["higher_is_better"])
    heads = [
        "trial",
        "configuration",
        "framework",
        "units",
        "seed",
        metric,
        OVER_SEEDS,
        "updates (%)",
        OVER_SEEDS,
        "seeds",
    ]
    lines = [_line(map(escape_markdown, heads)), _line(["---"] * len(heads))]
    lines += [_line([f"`{trial_id}`", *map(escape_markdown, cells)]) for trial_id, *cells in rows]
    return "\n".join([f"## {escape_markdown(problem)}", "", *lines, ""])


def _over_seeds(values: pd.Series) -> str:
    """Mean and deviation; one seed that ended ok without a number leaves no mean, as in every table."""
    mean = values.mean(skipna=False)
    return spread(mean, values.std()) if pd.notna(mean) else NO_NUMBER


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _made(trials: pd.DataFrame) -> str:
    """What they were trained by."""

    def values(column: str) -> str:
        if column not in trials:
            return "not told"
        return escape_markdown(listed(sorted({str(value) for value in trials[column].dropna()})))

    return "\n".join(
        [
            "## Made by",
            "",
            f"* project: {values('environment.project.version')}, commits {values('environment.project.commit')}",
            f"* packages: torch {values('environment.packages.torch')}; "
            f"tensorflow {values('environment.packages.tensorflow')}; numpy {values('environment.packages.numpy')}",
            f"* processor: {values('environment.processor')}; devices: {values('device')}; "
            f"Python {values('environment.python')}",
            f"* trained until {trials['finished'].max()}",
            "",
            "Licence: that of the project.",
            "",
        ]
    )
