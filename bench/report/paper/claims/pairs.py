"""Differences between frameworks and between engines, configuration by configuration.

Two trials that differ in the framework alone are a pair; two of one framework that differ in the engine alone are a
null pair, whose difference is what rounding makes of training.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from bench.report.frames import configuration_fields, rows_of
from impls.kinds import skip_cells

# What a label says of the engine, which a null pair has two of.
ENGINE = re.compile(r",? ?engine ?= ?\w+")
# In which of these the two of a pair differ.
APART = ("framework", "engine")
CHECKSUMS = ("parameters_checksum", "batches_checksum")


@dataclass(frozen=True, kw_only=True)
class PairedDifferences:
    """One configuration: a number a seed of the `differences` between frameworks and between engines (`null`).

    Of a seed that ran in both frameworks and on both engines it is the mean of two pairs: what a framework changes on
    either engine, or an engine in either framework. The four trials make one seed, not two.
    """

    problem: str
    label: str
    trials: pd.DataFrame
    differences: tuple[float, ...]
    null: tuple[float, ...]


def paired_differences(frame: pd.DataFrame, *, measure: str) -> Iterator[PairedDifferences]:
    """Every configuration, but for framework, engine and seed; errors are compared by their logarithms.

    Two trials are a pair only where both ended ok with equal checksums of initial parameters and batches. The updates
    of a plain cell are given, so that nothing is compared there.
    """
    fields = [name for name in configuration_fields(frame) if name not in APART]
    ok = frame[frame["status"] == "ok"]
    if any(ok[name].nunique() < 2 for name in APART):
        return
    for _, trials in ok.groupby(fields, sort=False, dropna=False):
        first = trials.iloc[0]
        if measure == "update_ratio" and first["cell"] not in skip_cells():
            continue
        errors = measure == "quality" and not first["higher_is_better"]
        across: list[float] = []
        null: list[float] = []
        for _, twins in trials.groupby("seed"):
            of_seed: dict[str, list[float]] = {name: [] for name in APART}
            for left, right in itertools.combinations(rows_of(twins[[*APART, *CHECKSUMS, measure]]), 2):
                apart = [name for name in APART if left[name] != right[name]]
                if len(apart) != 1 or any(left[name] != right[name] for name in CHECKSUMS):
                    continue
                difference = _difference(left[measure], right[measure], logarithmic=errors)
                of_seed[apart[0]].append(difference)
            for name, found in (("framework", across), ("engine", null)):
                if of_seed[name]:
                    found.append(fmean(of_seed[name]))
        yield PairedDifferences(
            problem=str(first["problem"]),
            label=ENGINE.sub("", str(first["label"])),
            trials=trials,
            differences=tuple(across),
            null=tuple(null),
        )


def _difference(left: Any, right: Any, *, logarithmic: bool) -> float:
    if not logarithmic:
        return float(right - left)
    return math.log(right / left) if left > 0 and right > 0 else math.nan
