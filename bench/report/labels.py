"""What problems and configurations are called for people: by what tells them apart within a sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.names import cost_name, field_name, problem_name, skip_name

# What a label tells by itself, or leaves to the problem.
TOLD = ("task", "options", "length", "cell", "framework", "budget_cost", "p_skip", "period")


def problem_names(problems: Sequence[tuple[str, Mapping[str, Any], int]]) -> list[str]:
    """The name of each (task, options, length); two that differ have different names.

    The length is always told, an option where it differs between problems of one task and length.
    """
    together: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for task, options, length in problems:
        together[task, length].append(options)
    telling = {key: _differing(options) for key, options in together.items()}
    return [
        problem_name(task, options, length=length, telling=[name for name in telling[task, length] if name in options])
        for task, options, length in problems
    ]


def variant_names(frame: pd.DataFrame, *, fields: Iterable[str]) -> list[str]:
    """Of each trial: its λ and skips, then those of the `fields` that differ within its problem."""
    others = [name for name in fields if name not in TOLD]
    variants: dict[Any, str] = {}
    for _, group in frame.groupby("problem", sort=False):
        counts = group[others].nunique(dropna=False)
        varying = [name for name in others if counts[name] > 1]
        costs = group.groupby("cell")["budget_cost"].transform("nunique") > 1
        told = zip(group["p_skip"], group["period"], group["budget_cost"], costs, strict=True)
        further = zip(*(group[name] for name in varying), strict=True) if varying else [()] * len(group)
        for row, (p_skip, period, cost, shown), values in zip(group.index, told, further, strict=True):
            others_told = dict(zip(varying, values, strict=True))
            variants[row] = _variant(p_skip, period, cost if shown or cost else None, others_told)
    return [variants[row] for row in frame.index]


def _variant(p_skip: float, period: int, cost: float | None, others: Mapping[str, Any]) -> str:
    parts = [skip_name(p_skip=p_skip, period=period), "" if cost is None else cost_name(cost)]
    return ", ".join([part for part in parts if part] + [field_name(name, value) for name, value in others.items()])


def _differing(options: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for content in options for name in content if name != "length")
    return [name for name in names if len({repr(content.get(name)) for content in options}) > 1]
