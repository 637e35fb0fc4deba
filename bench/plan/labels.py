"""What the trials of a list are called in a terminal: labels of which no two are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.plan.trial import Trial


def distinct_labels(trials: Sequence[Trial]) -> list[str]:
    """Each trial's label; where several have one, it goes on with the fields that these differ in."""
    alike: dict[str, list[dict[str, Any]]] = defaultdict(list)
    contents = [_fields(trial) for trial in trials]
    for trial, content in zip(trials, contents, strict=True):
        alike[trial.label].append(content)
    return [
        " ".join([trial.label, *_apart(content, alike[trial.label])])
        for trial, content in zip(trials, contents, strict=True)
    ]


def _fields(trial: Trial) -> dict[str, Any]:
    """The trial's fields and those of its protocol, by bare name."""
    content = trial.model_dump(mode="json")
    content["units"] = "x".join(map(str, trial.units))
    protocol = content.pop("protocol")
    return {**content, **protocol}


def _apart(content: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{name}={_number(value)}" if isinstance(value, float) else f"{name}={value}"
        for name, value in content.items()
        if value is not None and any(other[name] != value for other in others)
    ]


def _number(value: float) -> str:
    """As short as can be: two numbers that differ have two texts."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
