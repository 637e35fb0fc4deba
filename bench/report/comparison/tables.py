"""The comparison as tables of text: what came out, what it cost, and frameworks beside engines."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.report.comparison.intervals import LEAST_PAIRS
from bench.report.comparison.margins import margins
from bench.report.comparison.measures import COSTS, difference_scale
from bench.report.comparison.null_pairs import NullComparison
from bench.report.comparison.paired_differences import Comparison
from bench.report.comparison.skipping import TIMES, Skipping
from bench.report.frames import rows_of
from bench.report.names import evaluation_name, framework_name, many, metric_name, metric_unit
from bench.report.numbers import NONE, number, signed

NAMES = ["problem", "configuration", "left", "right"]


# What the table of outcomes holds, but for costs.
OUTCOMES = ("quality", "update_ratio", "updates", "flops_per_sequence")


def outcome_table(comparison: Comparison) -> pd.DataFrame:
    """Differences of quality and updates with their verdicts, one row a configuration.

    A row's pairs are the most that one of its cells rests on; a cell that rests on fewer says so.
    """
    rows = []
    for named, by_measure in _configurations(comparison):
        quality, updates = by_measure["quality"], by_measure["update_ratio"]
        pairs = max(by_measure[name]["pairs"] for name in OUTCOMES)
        rows.append(
            named
            | {
                "pairs": str(pairs),
                "metric": compared_metric(str(quality["quality_metric"])),
                "reported": evaluation_name(quality["reported"]),
                "quality_difference": interval_text(quality, of=pairs),
                "quality_verdict": quality["verdict"] or NONE,
                "update_ratio_difference": interval_text(updates, of=pairs),
                "update_ratio_verdict": updates["verdict"] or NONE,
                "updates_difference": interval_text(by_measure["updates"], of=pairs),
                "flops_ratio": interval_text(by_measure["flops_per_sequence"], of=pairs),
            }
        )
    return pd.DataFrame(rows)


def cost_table(comparison: Comparison) -> pd.DataFrame:
    """Ratios of times and memory, with what either side ran, one row a configuration; pairs as in `outcome_table`."""
    within = _within(comparison)
    rows = []
    for named, by_measure in _configurations(comparison):
        step = by_measure["step_milliseconds"]
        runs = dict.fromkeys(step[f"implementation_{side}"] or NONE for side in ("right", "left"))
        if list(runs) != [named[within]]:
            named[within] = f"{named[within]}: {' / '.join(runs)}"
        pairs = max(by_measure[measure.name]["pairs"] for measure in COSTS)
        costs = {measure.words: interval_text(by_measure[measure.name], of=pairs) for measure in COSTS}
        rows.append(named | {"pairs": str(pairs)} | costs)
    return pd.DataFrame(rows)


def _within(comparison: Comparison) -> str:
    """What both sides of a pair share, and a row names."""
    return "engine" if comparison.apart == "framework" else "framework"


def _configurations(comparison: Comparison) -> list[tuple[dict[str, str], dict[str, dict[str, Any]]]]:
    """How each configuration is named, and its rows of the summary by measure."""
    if comparison.summary.empty:
        return []
    within = _within(comparison)
    found = []
    several = comparison.summary[["left", "right"]].drop_duplicates().shape[0] > 1
    for key, group in comparison.summary.groupby([*NAMES, within], sort=False):
        problem, configuration, left, right, of = key
        named = {"task": str(problem), "configuration": str(configuration), within: framework_name(str(of))}
        if several:
            named["compared"] = f"{framework_name(str(right))} to {framework_name(str(left))}"
        found.append((named, {str(row["measure"]): row for row in rows_of(group)}))
    return found


def interval_text(row: dict[str, Any], *, of: int) -> str:
    """`mean [low, high]` from five pairs on, the pairs themselves below; ratios with a ×.

    Of fewer pairs than the table's row tells (`of`) it says so, such as `×2.05 [2.00, 2.10] (5 of 10)`.
    """
    if not row["pairs"]:
        return NONE
    fewer = f" ({row['pairs']} of {of})" if row["pairs"] != of else ""
    if row["pairs"] < LEAST_PAIRS:
        return "; ".join(_number(float(point), row) for point in row["points"].split("; ")) + fewer
    low, high = (_number(row[name], row, mark="") for name in ("low", "high"))
    return f"{_number(row['mean'], row)} [{low}, {high}]{fewer}"


def _number(value: float, row: dict[str, Any], *, mark: str = "×") -> str:
    if row["scale"] == "ratio":
        return mark + number(value, digits=3)
    return signed(difference_scale(row["measure"], metric=row["quality_metric"]) * value, digits=2)


def compared_metric(metric: str) -> str:
    """A metric and how it is compared: in points, as a factor, or in its own unit."""
    if margins().is_ratio(metric):
        return f"{metric_name(metric)} (×)"
    return f"{metric_name(metric)} (points)" if metric_unit(metric) else metric_name(metric)


def uncompared_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What was refused or lacks a partner, one row a configuration and reason, with its seeds."""
    names = ["problem", "configuration", "engine", "reason"]
    if rows.empty:
        return pd.DataFrame(columns=["task", *names[1:3], "seeds", "reason"])
    seeds = rows.groupby(names, sort=False)["seed"].agg(lambda each: ", ".join(map(str, each)))
    table = seeds.rename("seeds").reset_index().rename(columns={"problem": "task"})
    return table[["task", "configuration", "engine", "seeds", "reason"]]


def null_table(null: NullComparison) -> pd.DataFrame:
    """Root mean squared differences of frameworks beside those of engines, one row a configuration and measure."""
    rows = []
    for row in rows_of(null.sizes):
        metric = str(row["quality_metric"])
        ratio = row["measure"] == "quality" and row["quality_is_ratio"]
        words = compared_metric(metric) if row["measure"] == "quality" else "update ratio (points)"
        scale = difference_scale(str(row["measure"]), metric=metric)
        rows.append(
            {"task": row["problem"], "configuration": row["configuration"], "measure": words}
            | {
                name: f"{'×' if ratio and row[f'{side}_pairs'] else ''}{number(scale * row[f'{side}_size'], digits=3)}"
                f" ({row[f'{side}_pairs']})"
                for side, name in (("frameworks", "frameworks differ by"), ("engines", "engines differ by"))
            }
            | {
                name: _parting(row, side)
                for side, name in (("frameworks", "frameworks part"), ("engines", "engines part"))
            }
        )
    return pd.DataFrame(rows)


def _parting(row: dict[str, Any], side: str) -> str:
    """Such as `3 of 5, step 80`, of the pairs whose curves tell; a dash where none does."""
    parted, told = row[f"{side}_parted"], row[f"{side}_told"]
    if not told:
        return NONE
    step = f", step {row[f'{side}_parting']:g}" if parted else ""
    return f"{parted} of {told}{step}"


def skipping_table(skipping: Skipping) -> pd.DataFrame:
    """Times of trials that skip, against the plain cell's; one row a configuration, framework and engine.

    A row's trials and update ratio are those of the time that most trials were compared in; a time of others says of
    how many it is, and how much these update.
    """
    rows: list[dict[str, str]] = []
    if skipping.summary.empty:
        return pd.DataFrame(rows)
    naming = ["problem", "configuration", "framework", "engine", "implementation"]
    for key, group in skipping.summary.groupby(naming, sort=False):
        problem, configuration, framework, engine, implementation = map(str, key)
        by_time = {row["time"]: row for row in rows_of(group)}
        most = max(by_time.values(), key=lambda row: row["trials"])
        row = {
            "task": problem,
            "configuration": configuration,
            "framework": framework_name(framework),
            "engine": f"{engine} ({implementation})" if implementation not in ("", engine) else engine,
            "trials": str(most["trials"]),
            "update_ratio": _updates(most),
        }
        for time, words in TIMES.items():
            row[words] = _payment(by_time[time], most) if time in by_time else NONE
        rows.append(row)
    return pd.DataFrame(rows)


def _updates(row: dict[str, Any]) -> str:
    return number(100 * row["update_ratio"], digits=3)


def _payment(row: dict[str, Any], most: dict[str, Any]) -> str:
    bounds = f" [{number(row['low'], digits=2)}, {number(row['high'], digits=2)}]" if row["trials"] > 1 else ""
    others = (
        ""
        if (row["trials"], row["update_ratio"]) == (most["trials"], most["update_ratio"])
        else (f" ({many(row['trials'], 'trial')}, {_updates(row)} % of the updates)")
    )
    return f"×{number(row['ratio'], digits=2)}{bounds} {row['verdict']}{others}"
