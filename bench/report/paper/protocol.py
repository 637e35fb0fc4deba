"""In what the trials of a sweep depart from a table's published protocol: they can show a direction, never a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report.frames import configuration_fields, rows_of
from bench.report.names import listed
from bench.report.paper.layout import PUBLISHED_RUNS, PaperTable
from bench.report.paper.settings import phrase, published_settings, trial_settings


@dataclass(frozen=True, kw_only=True)
class Departure:
    """One setting in which trials depart from a table's protocol.

    Attributes:
        setting: its name, as `trial_settings` has it.
        words: both values, such as `64 units instead of 110`.
    """

    setting: str
    words: str

    @property
    def of_size(self) -> bool:
        """Whether it is of the data or the cell, and not of how long or how it was trained."""
        return self.setting in ("units", "length") or self.setting.startswith("option.")

    def __str__(self) -> str:
        return self.words


def departures(table: PaperTable, trials: pd.DataFrame) -> tuple[Departure, ...]:
    """In what trials that stand in rows of a table depart from its protocol; the number of runs is none of it."""
    return setting_departures(table, [trial_settings(trial) for trial in rows_of(trials)])


def setting_departures(table: PaperTable, found: Sequence[Mapping[str, str]]) -> tuple[Departure, ...]:
    """The same of the trials' settings, in the order of the protocol's.

    How often is evaluated counts where the best evaluation is what is reported. Trials that have several values of a
    setting name all of them.
    """
    told = []
    best = any(settings["reported"] == "best_validation" for settings in found)
    for name, published in published_settings(table).items():
        values = list(dict.fromkeys(settings.get(name, "no") for settings in found))
        if values in ([], [published]) or (name == "evaluation" and not best):
            continue
        silent = " (the paper does not say)" if name in table.left_open else ""
        told.append(Departure(setting=name, words=f"{phrase(name, listed(values))} instead of {published}{silent}"))
    return tuple(told)


def subject(table: PaperTable, trials: pd.DataFrame) -> str:
    """What trials are of: the table's own problem, or by its name another that stands in for it."""
    first = rows_of(trials)[0]
    own = first["task"] == table.task and all(
        departure.setting != "option.variant" for departure in departures(table, trials)
    )
    return table.title if own else str(first["problem"])


def fewer_runs(trials: pd.DataFrame) -> str:
    """Such as `1 run instead of 4`; empty where every configuration has as many runs as the paper's."""
    if trials.empty:
        return ""
    runs = trials.groupby([*configuration_fields(trials), "framework"], dropna=False)["seed"].nunique()
    if runs.min() >= PUBLISHED_RUNS:
        return ""
    several = " to ".join(dict.fromkeys(map(str, (runs.min(), runs.max()))))
    return f"{several} {'run' if several == '1' else 'runs'} instead of {PUBLISHED_RUNS}"


def described(found: Iterable[Departure]) -> str:
    """Such as `64 units instead of 110; 3,000 steps instead of 100,000 steps`; empty where nothing departs."""
    return "; ".join(map(str, found))
