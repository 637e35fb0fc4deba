"""Does skipping pay: the time of trials that skip, against that of the plain cell that updates at every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.report.comparison.conditions import LOAD, unlike_conditions
from bench.report.comparison.intervals import LEAST_PAIRS, mean_interval
from bench.report.comparison.pairing import values_of, with_configuration
from bench.report.frames import configuration_fields, rows_of
from bench.report.names import SKIP, framework_name

# The compared times, and what people call them.
TIMES = {
    "step_milliseconds": "training step",
    "reported_step_milliseconds": "step as reported",
    "inference_milliseconds": "inference",
    "inference_milliseconds_batch_1": "inference, batch 1",
}
# What a skipping trial and its plain cell may differ in.
OF_SKIPS = (
    "cell", "budget", "budget_cost", "budget_target", "p_skip", "period", "update_bias", "gate", "gate_layer",
    "initial_state", "reported",
)  # fmt: skip
# One timing has no spread that could tell it from chance.
LEAST_TRIALS = 2
PAYS, DOES_NOT_PAY, UNDECIDED = "pays", "does not pay", "undecided"


@dataclass(frozen=True, kw_only=True)
class WithoutPlain:
    """A configuration that skips, called `name`: `lacking` of its `trials` have no plain cell that ended ok."""

    name: str
    trials: int
    lacking: int


@dataclass(frozen=True, kw_only=True)
class Skipping:
    """What skipping costs and saves.

    Attributes:
        trials: one row a skipping trial with a plain cell of the same seed, framework and engine to compare with:
            `update_ratio`, `<time>_ratio` (to the plain cell's; empty where their conditions differ), `unlike` (in what
            they do) and `other_load` (whether what ran beside them is of that).
        summary: one row a configuration and time, over the trials that are compared in it: how many (`trials`), their
            mean `update_ratio`, `ratio` (geometric mean), `low` and `high` (95 %, Student's t, from 5 trials on; the
            lowest and highest trial below) and `verdict`: *pays* where the whole range lies below 1, *does not pay*
            where it lies above, *undecided* else, where one trial is all, and where unlike conditions leave out as many
            trials as they leave.
        without_plain: configurations that skip and have trials without a plain cell beside them.
    """

    trials: pd.DataFrame
    summary: pd.DataFrame
    without_plain: tuple[WithoutPlain, ...]


def skipping_against_plain(trials: pd.DataFrame) -> Skipping:
    """Compares every ok trial that skips with the plain cell of its kind."""
    ok = with_configuration(trials)
    ok = ok[ok["status"] == "ok"]
    keys = ["framework", "seed", *(name for name in configuration_fields(trials) if name not in OF_SKIPS)]
    skips = (ok["cell"] != ok["cell"].map(_plain)) | (ok["p_skip"] > 0) | (ok["period"] > 1)
    full = {_key(row, keys): row for row in reversed(rows_of(ok[~skips]))}
    rows: list[dict[str, Any]] = []
    trials_of, lacking = Counter[str](), Counter[str]()
    for row in rows_of(ok[skips]):
        name = f"{row['problem']}: {row['label']} ({framework_name(row['framework'])})"
        trials_of[name] += 1
        plain = full.get(_key(row, keys))
        if plain is None:
            lacking[name] += 1
            continue
        names = ("problem", "configuration", "cell", "framework", "engine", "implementation", "device", "seed",
                 "update_ratio")  # fmt: skip
        unlike = unlike_conditions(plain, row)
        ratios = {
            f"{time}_ratio": row[time] / plain[time] if plain[time] > 0 and not unlike else np.nan for time in TIMES
        }
        told = {"unlike": ", ".join(unlike), "other_load": LOAD in unlike}
        rows.append({name: row[name] for name in names} | ratios | told)
    table = pd.DataFrame(rows)
    without = tuple(WithoutPlain(name=name, trials=trials_of[name], lacking=count) for name, count in lacking.items())
    return Skipping(trials=table, summary=_summary(table), without_plain=without)


def _plain(cell: str) -> str:
    return cell.removeprefix(SKIP)


def _key(row: dict[str, Any], keys: list[str]) -> tuple[Any, ...]:
    return (_plain(row["cell"]), *values_of(row, keys))


def _summary(trials: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    if trials.empty:
        return trials
    naming = ["problem", "configuration", "cell", "framework", "engine", "implementation", "device"]
    for key, group in trials.groupby(naming, sort=False):
        for time in TIMES:
            measured = group[f"{time}_ratio"].to_numpy(float)
            compared = group[np.isfinite(measured) & (measured > 0)]  # whose updates these times are to be held against
            ratios = compared[f"{time}_ratio"].to_numpy(float)
            if not len(ratios):
                continue
            low, high = float(ratios.min()), float(ratios.max())
            if len(ratios) >= LEAST_PAIRS:
                low, high = (float(np.exp(bound)) for bound in mean_interval(np.log(ratios)))
            rows.append(
                dict(zip(naming, key, strict=True))
                | {
                    "time": time,
                    "update_ratio": float(compared["update_ratio"].mean()),
                    "trials": len(ratios),
                    "ratio": float(np.exp(np.log(ratios).mean())),
                    "low": low,
                    "high": high,
                    "verdict": _verdict(low, high, trials=len(ratios), left_out=int((group["unlike"] != "").sum())),
                }
            )
    return pd.DataFrame(rows)


def _verdict(low: float, high: float, *, trials: int, left_out: int) -> str:
    if trials < LEAST_TRIALS or trials <= left_out:
        return UNDECIDED
    return PAYS if high < 1 else DOES_NOT_PAY if low > 1 else UNDECIDED
