"""Pairs: trials that differ in one thing alone, checked by checksum; and what is no pair, with the reason."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from bench.report.frames import configuration_fields, labelled, rows_of
from bench.report.names import framework_name

Row = dict[str, Any]
Apart = Literal["framework", "engine"]
# What two records of a pair must share, and what people call it.
ALIKE = {
    "parameters_checksum": "initial parameters",
    "batches_checksum": "training batches",
    "reported": "reported evaluations",
}
# What names a pair: of its configuration, with neither framework nor engine in its label.
NAMING = ("task", "problem", "configuration", "cell", "framework", "engine", "device", "seed", "quality_metric",
          "higher_is_better", "reported")  # fmt: skip


@dataclass(kw_only=True)
class Pairing:
    """What was paired and what was not.

    Attributes:
        pairs: the two trials of each pair as rows of the frame, with `configuration`, the label without framework and
            engine. The left one's framework or engine comes first in the alphabet.
        refused: trials that would be a pair, but do not stand on the same parameters and batches, with the reason.
        incomplete: trials whose partner did not end ok or was not run, with the reason.
    """

    pairs: list[tuple[Row, Row]] = field(default_factory=list)
    refused: list[Row] = field(default_factory=list)
    incomplete: list[Row] = field(default_factory=list)


def paired(trials: pd.DataFrame, *, apart: Apart) -> Pairing:
    """The pairs of every two frameworks, or of every two engines of a framework."""
    found = Pairing()
    named = with_configuration(trials)
    for left_name, right_name in itertools.combinations(sorted(set(trials[apart])), 2):
        both = named[named[apart].isin((left_name, right_name))]
        for group in _configurations(both, apart=apart):
            sides = {row[apart]: row for row in group}
            naming = {name: group[0][name] for name in NAMING if name != apart} | {
                "left": left_name,
                "right": right_name,
            }
            missing = [f"{framework_name(name)}: {sides[name]['status'] if name in sides else 'not in the sweep'}"
                       for name in (left_name, right_name)
                       if name not in sides or sides[name]["status"] != "ok"]  # fmt: skip
            if missing:
                found.incomplete.append(naming | {"reason": ", ".join(missing)})
                continue
            left, right = sides[left_name], sides[right_name]
            differing = [words for name, words in ALIKE.items() if left[name] != right[name]]
            reason = f"different {' and '.join(differing)}" if differing else ""
            if not left["parameters_checksum"] or not left["batches_checksum"]:
                reason = "unknown checksums"
            if reason:
                found.refused.append(naming | {"reason": reason})
                continue
            found.pairs.append((left, right))
    return found


def with_configuration(trials: pd.DataFrame) -> pd.DataFrame:
    """Adds `configuration`: the label of a trial, with neither framework nor engine in it."""
    if "configuration" in trials:
        return trials
    return trials.assign(configuration=labelled(trials.assign(engine="", framework=""))["label"])


def _configurations(trials: pd.DataFrame, *, apart: Apart) -> list[list[Row]]:
    """The rows of each seed of each configuration, which differ in `apart` alone."""
    keys = ["pair_id"]
    if apart == "engine":  # of which a pair id is
        others = [name for name in configuration_fields(trials) if name not in (apart, "reported")]
        keys = ["framework", "seed", *others]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows_of(trials):
        groups.setdefault(values_of(row, keys), []).append(row)
    return list(groups.values())


def values_of(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    """A key of some columns, in which missing values are equal, as NaN would not be."""
    return tuple(None if row[name] != row[name] else row[name] for name in names)
