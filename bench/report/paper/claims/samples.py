"""What is measured for a claim: the values of a row's trials by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from bench.records.record import FINISHED
from bench.records.store import Store
from bench.report.frames import curves_frame, read_examples
from bench.report.paper.claims.evidence import constant
from impls.contract import Array

# Measures that are times: they are compared by the seeds whose trials ran under like conditions.
TIMES = ("step_milliseconds", "inference_milliseconds")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The validation quality of a run by epoch; both `[evaluations]`, the last one final."""

    epochs: Array
    quality: Array


def sample(measure: str, trials: pd.DataFrame, *, store: Store) -> dict[int, float]:
    """The measure of each trial, by seed; trials that did not end ok have none.

    `solved` is the exception: a trial that diverged did not solve its task. Raises `RecordError` for files of a trial
    that cannot be read.
    """
    if measure == "solved":
        finished = trials[trials["status"].isin(FINISHED)]
        return _by_seed(finished, [float(solved is True) for solved in finished["solved"]])
    ok = trials[trials["status"] == "ok"]
    if measure == "ink_correlation":
        found = {int(seed): _ink_correlation(trial, store=store) for seed, trial in ok[["seed", "trial_id"]].to_numpy()}
        return {seed: value for seed, value in found.items() if value is not None}
    if measure == "flops_of_an_update":
        return _by_seed(ok, (ok["flops_per_sequence"] / ok["updates"]).tolist())
    return _by_seed(ok, ok[measure].astype(float).tolist())


def _by_seed(trials: pd.DataFrame, values: Sequence[float]) -> dict[int, float]:
    return {int(seed): value for seed, value in zip(trials["seed"], values, strict=True)}


def curves(trials: pd.DataFrame, *, store: Store) -> dict[int, Curve]:
    """The learning curve of each trial that ended ok and left one, by seed. Raises `RecordError`."""
    found = {}
    rows = curves_frame(trials[trials["status"] == "ok"], store=store)
    if "epoch" not in rows:
        return {}
    for seed, curve in rows.groupby("seed"):
        found[int(str(seed))] = Curve(epochs=curve["epoch"].to_numpy(float), quality=curve["quality"].to_numpy(float))
    return found


def epochs_to_reach(
    left: dict[int, Curve], right: dict[int, Curve], *, part: float
) -> tuple[dict[int, float], dict[int, float]]:
    """The epochs that two runs of a seed take to this part of the lower of their final qualities."""
    epochs: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for seed in sorted(set(left) & set(right)):
        pair = (left[seed], right[seed])
        threshold = part * min(curve.quality[-1] for curve in pair)
        for side, curve in zip(epochs, pair, strict=True):
            side[seed] = first_reached(curve.epochs, curve.quality, threshold=threshold)
    return epochs


def shares_saved(skipping: pd.DataFrame, full: pd.DataFrame, *, measure: str, store: Store) -> dict[int, float]:
    """What two runs of a seed say of time: (1 − time / full time) / (1 − update ratio), by seed.

    1 where time is saved as steps are, 0 where none is; runs that leave nothing out say nothing.
    """
    times, full_times = (sample(measure, trials, store=store) for trials in (skipping, full))
    ratios = sample("update_ratio", skipping, store=store)
    return {
        seed: (1 - times[seed] / full_times[seed]) / (1 - ratios[seed])
        for seed in sorted(set(times) & set(full_times))
        if ratios[seed] < 1
    }


def _ink_correlation(trial_id: str, *, store: Store) -> float | None:
    """Spearman's ρ over pixels: how often each is used, and its mean intensity, over the sequences kept."""
    examples = read_examples(trial_id, store=store)
    if examples is None:
        return None
    intensity = np.asarray(examples["inputs"], np.float64).mean(axis=(0, 2))  # [time]
    return rank_correlation(np.asarray(examples["gates"], np.float64).mean(axis=0), intensity)


def rank_correlation(left: Array, right: Array) -> float:
    """Spearman's ρ of two arrays `[n]`; 0 where one of them is constant, which follows nothing."""
    if constant(left) or constant(right):
        return 0.0
    return float(stats.spearmanr(left, right).statistic)


def first_reached(epochs: Array, quality: Array, *, threshold: float) -> float:
    """The first epoch `[n]` at which quality `[n]` is at least the threshold; NaN where it never is."""
    reached = np.flatnonzero(np.asarray(quality) >= threshold)
    return float(epochs[reached[0]]) if len(reached) else float("nan")
