"""What was not compared, in sentences: pairs, times of pairs, numbers of pairs."""

from __future__ import annotations

import pandas as pd

from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.skipping import Skipping
from bench.report.comparison.tables import uncompared_table
from bench.report.comparison.words import ELSEWHERE, MEASURES
from bench.report.frames import rows_of
from bench.report.names import framework_name, many


def unlike(comparison: Comparison) -> list[str]:
    """Which pairs' times are not compared, and why."""
    if comparison.pairs.empty:
        return []
    rows = comparison.pairs[comparison.pairs["unlike"] != ""]
    told = []
    for why, group in rows.groupby("unlike", sort=True):
        names = [f"{row['configuration']}, seed {row['seed']}" for row in rows_of(group)]
        shown = "; ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        told.append(
            f"Times and memory of {len(group)} of {many(len(comparison.pairs), 'pair')} are not compared: "
            f"the two sides ran with other {why} ({shown})."
        )
    return told


def untimed(skipping: Skipping) -> list[str]:
    """Which trials that skip are not timed against their plain cell, and why."""
    if skipping.trials.empty:
        return []
    rows = skipping.trials[skipping.trials["unlike"] != ""]
    return [
        f"Of {many(len(skipping.trials), 'trial')} that skip{'s' if len(skipping.trials) == 1 else ''}, {len(group)} "
        f"{'is' if len(group) == 1 else 'are'} not timed against the plain cell, which ran with other {why}."
        + (f" {ELSEWHERE}" if group["other_load"].any() else "")
        for why, group in rows.groupby("unlike", sort=True)
    ]


def without_plain(skipping: Skipping) -> list[str]:
    """Which configurations that skip have no plain cell to be timed against, or not for every trial."""
    return [
        f"{of.name}: no plain cell beside it, so its time is not judged."
        if of.lacking == of.trials
        else f"{of.name}: of {many(of.trials, 'trial')} {of.lacking} {'has' if of.lacking == 1 else 'have'} no plain "
        "cell that ended ok."
        for of in skipping.without_plain
    ]


def not_numbers(comparison: Comparison) -> list[str]:
    """Pairs whose quality or update ratio is no number, by seed."""
    if comparison.summary.empty:
        return []
    rows = comparison.summary[
        comparison.summary["measure"].isin(list(MEASURES)) & (comparison.summary["left_out"] != "")
    ]
    return [
        f"{row['problem']}, {row['configuration']}: {MEASURES[row['measure']]} left out of {row['left_out']}."
        for row in rows_of(rows)
    ]


def uncompared(rows: pd.DataFrame) -> list[str]:
    """Refused or incomplete pairs by name: a line a configuration and reason, with its seeds."""
    return [
        f"{row['task']}, {row['configuration']}, {row['engine']}, "
        f"{'seeds' if ',' in row['seeds'] else 'seed'} {row['seeds']} ({row['reason']})"
        for row in rows_of(uncompared_table(rows))
    ]


def nothing_to_compare(trials: pd.DataFrame, comparison: Comparison) -> str:
    """Why there is no pair, in a sentence; empty where there is one."""
    if len(comparison.pairs):
        return ""
    frameworks = sorted(set(trials["framework"]))
    if len(frameworks) == 1:
        return f"All trials are of {framework_name(frameworks[0])}, so there is nothing to compare."
    ok = trials[trials["status"] == "ok"]
    if ok.empty:
        return "No trial ended ok, so there is nothing to compare."
    if len(comparison.refused):
        return "No two ok trials form a pair: those that would be one differ in more than the framework."
    if ok["framework"].nunique() == 1:
        return f"Only trials of {framework_name(ok['framework'].iloc[0])} ended ok, so there is nothing to compare."
    seeds = [set(rows["seed"]) for _, rows in ok.groupby("framework")]
    if not set.intersection(*seeds):
        return "The frameworks have no seed in common, so no two trials form a pair."
    return "No two ok trials form a pair: no configuration and seed ended ok in both frameworks."
