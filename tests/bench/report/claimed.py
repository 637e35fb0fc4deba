"""Records of the paper's own sweeps with the published numbers in them, to be doctored claim by claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.plan import sweep as sweeps
from bench.plan.trial import Trial
from bench.records.record import Record
from bench.records.store import Store
from bench.report.frames import trials_frame
from bench.report.paper.claims.catalogue import Criterion, claims
from bench.report.paper.claims.criteria import published_value
from bench.report.paper.claims.verdicts import Verdict, judge
from bench.report.paper.published import PublishedRow, published_rows, trials_of
from tests.bench.report.stored import ok_record

# What a seed adds to a published number, in parts of `STEP`; the mean over four seeds is the published one.
SEEDS = np.array([-1.5, -0.5, 0.5, 1.5])
STEP = 1e-3
# Errors on the adding task of runs that solve it and of those that do not.
SOLVED_ERROR, UNSOLVED_ERROR = 1e-4, 0.1
FULL_MILLISECONDS = 10.0
BY_ID = {claim.id: claim for claim in claims()}
NOWHERE = Store(Path("no results"))


def verdict(claim: str, frame: pd.DataFrame, *, store: Store = NOWHERE) -> Verdict:
    (found,) = judge(frame, store=store, asked=[BY_ID[claim]])
    return found


@cache
def as_published(*names: str) -> pd.DataFrame:
    """The frame of sweeps in which every trial has its row's published numbers, spread a little over the seeds."""
    trials = [trial for name in names for trial in sweeps.load(name).trials]
    frame = trials_frame([], missing=trials)
    of = {frame.loc[index, "trial_id"]: row for row in published_rows() if row.of_this_project
          for index in trials_of(row, frame).index}  # fmt: skip
    return trials_frame(published_record(trial, of[trial.id]) for trial in trials)


def published_record(trial: Trial, row: PublishedRow) -> Record:
    shift = STEP * SEEDS[trial.seed % 4] * (0.1 if trial.task == "charades" else 1.0)  # whose precisions are small
    steps = row.length or 172.9
    updates = published_value("updates", row) or 0.0
    ratio = min(1.0, updates / steps * (1 + shift)) if updates < steps else 1.0
    if trial.task == "adding":
        quality = (SOLVED_ERROR if row.solved else UNSOLVED_ERROR) * (1 + shift)
    elif trial.task == "frequency":
        quality = 0.995
    else:
        wild = trial.cell in ("lstm", "gru")  # a plain cell varies more from run to run
        quality = (published_value("quality", row) or 0.0) + shift * (2.0 if wild else 0.5)
    flops = (published_value("flops_of_an_update", row) or 1.0) * ratio * steps
    milliseconds = FULL_MILLISECONDS * (0.2 + 0.8 * ratio) * (1 + shift)
    return ok_record(
        trial,
        quality=quality,
        update_ratio=ratio,
        milliseconds=milliseconds,
        inference_milliseconds=milliseconds / 2,
        updates=ratio * steps,
        flops_per_sequence=flops,
        solved=row.solved,
    )


def in_row(frame: pd.DataFrame, table: int, name: str) -> pd.Series:
    """Which trials stand in a row, named as `claims.toml` names it."""
    criterion = Criterion(kind="direction", statistic="every", measure="solved", table=table, cases=((name,),))
    (row,) = criterion.rows((name,))
    return frame.index.isin(row.trials(frame).index)


def doctored(
    frame: pd.DataFrame,
    table: int,
    changes: Mapping[str, Mapping[str, Any]],
    *,
    framework: str | None = None,
) -> pd.DataFrame:
    """The frame with other numbers in some rows: a value for all seeds, or one a seed."""
    changed = frame.copy()
    for name, numbers in changes.items():
        there = in_row(frame, table, name)
        if framework is not None:
            there &= (frame["framework"] == framework).to_numpy()
        assert there.any(), name
        for column, value in numbers.items():
            if isinstance(value, list):
                changed.loc[there, column] = [value[seed] for seed in changed.loc[there, "seed"]]
            else:
                changed.loc[there, column] = value
    return changed


def without(frame: pd.DataFrame, *, seeds: Iterable[int]) -> pd.DataFrame:
    """The frame with the trials of these seeds not run."""
    changed = frame.copy()
    changed.loc[frame["seed"].isin(list(seeds)), "status"] = "missing"
    return changed
