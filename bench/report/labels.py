"""What problems and configurations are called for people: by what tells them apart within a sweep."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.plan.trial import OF_LABELS
from bench.report.names import configuration_name, cost_name, field_name, plain, problem_name, skip_name
from bench.report.task_options import option_text, options_text, quoted
from impls.kinds import skip_cells

# What a plain cell has no use for: there it is whatever it is by default, and tells nothing.
OF_SKIP_CELLS = ("budget", "budget_target", "update_bias", "gate", "gate_layer")
# Characters of a label that still tells all that differs.
LONGEST = 60
# What a label tells by itself, or leaves to the problem.
TOLD = ("task", "options", "length", "cell", "framework", "budget_cost", "p_skip", "period")


def problem_names(problems: Sequence[tuple[str, Mapping[str, Any], int]]) -> list[str]:
    """The name of each (task, options, length); two that differ have different names.

    The length is always told, an option where it differs between problems of one task and length. Where words would
    name two of these alike, such as `a_b` and `a b`, values stand as they are, text in quotes.
    """
    together: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for task, options, length in problems:
        together[task, length].append(options)
    telling = {key: _differing(options) for key, options in together.items()}

    def named(task: str, options: Mapping[str, Any], length: int, value_name: Callable[[Any], str]) -> str:
        told = [name for name in telling[task, length] if name in options]
        return problem_name(task, options, length=length, telling=told, value_name=value_name)

    in_words = [named(*problem, plain) for problem in problems]
    alike: dict[str, set[str]] = defaultdict(set)
    for name, (_, options, _) in zip(in_words, problems, strict=True):
        alike[name].add(options_text(options))
    unclear = {
        (task, length) for name, (task, _, length) in zip(in_words, problems, strict=True) if len(alike[name]) > 1
    }
    return [
        named(task, options, length, _as_it_is) if (task, length) in unclear else name
        for name, (task, options, length) in zip(in_words, problems, strict=True)
    ]


def variant_names(frame: pd.DataFrame, *, fields: Iterable[str]) -> list[str]:
    """Of each trial: its λ and skips, then those of the `fields` that differ within its problem.

    What a trial's own label tells (`OF_LABELS`) is told where it differs within the sweep: two problems that differ in
    it as well are else compared as though they were of one cell.
    What only skip cells have is told where it differs between skip cells, or between plain ones, and not because plain
    ones do without. Where a label of a problem would come to more than `LONGEST`, a trial there tells only what most
    of the others do not share with it: two that differ still have different names.
    """
    others = [name for name in fields if name not in TOLD]
    variants: dict[Any, str] = {}
    skipping = frame["cell"].isin(skip_cells())
    for _, group in frame.groupby("problem", sort=False):
        skips = skipping[group.index]
        costs = group.groupby("cell")["budget_cost"].transform("nunique") > 1
        everywhere = {*_varying(group, others), *_varying(frame, OF_LABELS)} - set(OF_SKIP_CELLS)
        whole: dict[Any, str] = {}
        unusual: dict[Any, str] = {}
        for of_kind, alike in ((group[skips], frame[skipping]), (group[~skips], frame[~skipping])):
            telling = {*everywhere, *_varying(of_kind, OF_SKIP_CELLS)}
            telling |= set(OF_LABELS) & set(_varying(alike, OF_SKIP_CELLS))
            names = [name for name in others if name in telling]
            usual = {}
            for name in names:
                near, far = (of_kind, alike) if name in OF_SKIP_CELLS else (group, frame)
                usual[name] = _most_common((near if _varying(near, [name]) else far)[name])
            rows: list[dict[Any, Any]] = of_kind[["p_skip", "period", "budget_cost", *names]].to_dict("records")
            for row, trial, several in zip(of_kind.index, rows, costs[of_kind.index], strict=True):
                cost = trial["budget_cost"] if several or trial["budget_cost"] else None
                # No number of updates is what a cost per sample asks for.
                told = {name: trial[name] for name in names if name != "budget_target" or trial[name]}
                apart = {name: value for name, value in told.items() if _text(value) != usual[name]}
                whole[row] = _variant(trial["p_skip"], trial["period"], cost, told)
                unusual[row] = _variant(trial["p_skip"], trial["period"], cost, apart)
        labels = [configuration_name(cell, whole[row]) for row, cell in group["cell"].items()]
        variants |= whole if max(map(len, labels)) <= LONGEST else unusual
    return [variants[row] for row in frame.index]


def _most_common(values: pd.Series) -> str:
    """As `_text` has it; the first of several."""
    return Counter(map(_text, values.tolist())).most_common(1)[0][0]


def _text(value: Any) -> str:
    """A value as text that is the same for every missing one."""
    return "" if value is None or value != value else repr(value)


def _varying(trials: pd.DataFrame, names: Iterable[str]) -> list[str]:
    return [name for name in names if name in trials and trials[name].nunique(dropna=False) > 1]


def _variant(p_skip: float, period: int, cost: float | None, others: Mapping[str, Any]) -> str:
    parts = [skip_name(p_skip=p_skip, period=period), "" if cost is None else cost_name(cost)]
    return ", ".join([part for part in parts if part] + [field_name(name, value) for name, value in others.items()])


def _differing(options: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for content in options for name in content)
    return [name for name in names if len({_told(content, name) for content in options}) > 1]


def _told(options: Mapping[str, Any], name: str) -> str:
    return option_text(options[name]) if name in options else ""


def _as_it_is(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else option_text(value)
