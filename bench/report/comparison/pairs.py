"""The framework comparison: paired differences between records that differ in the framework alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.report.comparison.bootstrap import mean_interval
from bench.report.frames import CORE, rows_of
from bench.report.numbers import NONE, number, signed
from impls.contract import Array

DIFFERENCES = ("quality", "update_ratio", "updates")
RATIOS = ("step_milliseconds",)
# What two records of a pair must share, and what people call it.
ALIKE = {
    "parameters_checksum": "initial parameters",
    "batches_checksum": "training batches",
    "reported": "reported evaluations",
}
# What of an environment must agree for times to be compared, and what people call it.
CONDITIONS = {
    "processor": "processors", "cores": "numbers of cores", "memory_bytes": "memory", "system": "systems",
    "python": "Python versions", "threads": "numbers of threads",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Pairs, what they say, and what was not compared.

    Attributes:
        pairs: one row a pair: `left` and `right` name the frameworks, then `<field>_left`, `<field>_right`, and
            `<field>_difference` (right − left) or `<field>_ratio` (right / left).
        summary: one row a configuration: `pairs` (how many), and the `_mean`, `_low` and `_high` of every
            difference and ratio; bounds are those of a 95 % bootstrap interval, empty for fewer than 3 pairs. The
            mean of ratios is geometric.
        refused: trials with the same pair id whose checksums or reported evaluations differ: not pairs.
        incomplete: pair ids that have no ok record on both sides.
        conditions: one line for each way in which the two sides of some pairs ran under other conditions.
    """

    pairs: pd.DataFrame
    summary: pd.DataFrame
    refused: pd.DataFrame
    incomplete: pd.DataFrame
    conditions: tuple[str, ...]


def compare_frameworks(trials: pd.DataFrame) -> Comparison:
    """Pairs the trials of every two frameworks, in alphabetical order."""
    frameworks = sorted(set(trials["framework"]))
    pairs: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    incomplete: list[dict[str, Any]] = []
    unlike: dict[str, int] = {}
    for left_name, right_name in itertools.combinations(frameworks, 2):
        both = trials[trials["framework"].isin((left_name, right_name))]
        for _, group in both.groupby("pair_id", sort=False):
            sides = {row["framework"]: row for row in rows_of(group)}
            naming = {
                name: group.iloc[0][name]
                for name in ("pair_id", "problem", "label", "variant", *CORE, "seed", "quality_metric")
                if name != "framework"
            } | {"left": left_name, "right": right_name}
            missing = [f"{name}: {sides[name]['status'] if name in sides else 'not in the sweep'}"
                       for name in (left_name, right_name)
                       if name not in sides or sides[name]["status"] != "ok"]  # fmt: skip
            if missing:
                incomplete.append(naming | {"reason": ", ".join(missing)})
                continue
            left, right = sides[left_name], sides[right_name]
            differing = [words for field, words in ALIKE.items() if left[field] != right[field]]
            if differing:
                refused.append(naming | {"reason": f"different {' and '.join(differing)}"})
                continue
            pairs.append(naming | _differences(left, right))
            for line in _unlike_conditions(left, right):
                unlike[line] = unlike.get(line, 0) + 1
    table = pd.DataFrame(pairs)
    return Comparison(
        pairs=table,
        summary=_summary(table),
        refused=pd.DataFrame(refused),
        incomplete=pd.DataFrame(incomplete),
        conditions=tuple(f"{count} of {len(pairs)} pairs ran with {line}" for line, count in sorted(unlike.items())),
    )


def _differences(left: dict[str, Any], right: dict[str, Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name in DIFFERENCES:
        values |= {f"{name}_left": left[name], f"{name}_right": right[name]}
        values[f"{name}_difference"] = right[name] - left[name]
    for name in RATIOS:
        values |= {f"{name}_left": left[name], f"{name}_right": right[name]}
        values[f"{name}_ratio"] = right[name] / left[name] if _company(left) == _company(right) else float("nan")
    return values


def _company(side: dict[str, Any]) -> str:
    """Whether a trial ran alone: times of trials that did and of such that did not are no pair."""
    beside = side.get("beside")
    if beside is None or pd.isna(beside):
        return "not told"
    return "others beside it" if beside > 0 else "nothing beside it"


def _unlike_conditions(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    lines = []
    for key, words in CONDITIONS.items():
        values = [side.get(f"environment.{key}") for side in (left, right)]
        if not any(value is None or pd.isna(value) for value in values) and values[0] != values[1]:
            lines.append(f"other {words} ({values[0]} and {values[1]})")
    company = [_company(side) for side in (left, right)]
    if company[0] != company[1]:
        lines.append(f"other company ({company[0]} and {company[1]}): their times are not compared")
    return lines


def _summary(pairs: pd.DataFrame) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    if pairs.empty:
        return pd.DataFrame(rows)
    naming = ["problem", "label", "left", "right"]
    for values, group in pairs.groupby(naming, sort=False):
        row: dict[str, Any] = dict(zip(naming, values, strict=True))
        row |= {name: group[name].iloc[0] for name in ("quality_metric", "reported")} | {"pairs": len(group)}
        for name in DIFFERENCES:
            row |= _mean_and_interval(f"{name}_difference", group[f"{name}_difference"].to_numpy(float))
        for name in RATIOS:
            logarithms = _mean_and_interval(f"{name}_ratio", np.log(group[f"{name}_ratio"].to_numpy(float)))
            row |= {key: float(np.exp(value)) for key, value in logarithms.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _mean_and_interval(name: str, values: Array) -> dict[str, float]:
    low, high = mean_interval(values) or (float("nan"), float("nan"))
    return {f"{name}_mean": float(values.mean()), f"{name}_low": low, f"{name}_high": high}


def readable_summary(comparison: Comparison) -> pd.DataFrame:
    """The summary as text: means with their intervals in brackets."""
    rows = []
    for row in rows_of(comparison.summary):
        cells = {"task": row["problem"], "configuration": row["label"], "pairs": str(row["pairs"])}
        cells |= {"metric": row["quality_metric"], "reported": row["reported"]}
        for name in DIFFERENCES:
            cells[f"{name}_difference"] = _with_interval(row, f"{name}_difference", signs=True)
        for name in RATIOS:
            cells[f"{name}_ratio"] = _with_interval(row, f"{name}_ratio", signs=False)
        rows.append(cells)
    return pd.DataFrame(rows)


def _with_interval(row: dict[str, Any], name: str, *, signs: bool) -> str:
    show = signed if signs else number
    mean, low, high = (row[f"{name}_{part}"] for part in ("mean", "low", "high"))
    if pd.isna(mean):
        return NONE
    return show(mean, digits=3) + ("" if pd.isna(low) else f" [{show(low, digits=3)}, {show(high, digits=3)}]")
