"""Which trials of several rows are compared: those that are alike in all that the rows do not choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.report.frames import configuration_fields
from bench.report.names import field_name
from bench.report.paper.claims.catalogue import Row
from bench.report.paper.published import BY_LENGTH
from bench.report.task_options import options_of

# What a row chooses itself.
OF_A_ROW = ("cell", "p_skip", "period", "budget", "budget_cost", "budget_target")
# Where a row chooses its length, what stands for it among the options.
LENGTHS = ("length", "sample_milliseconds")


class Standing:
    """The trials of a sweep by row, apart by setting: size, engine, device, protocol."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self._found: dict[Row, pd.DataFrame] = {}
        self._settings: dict[bool, tuple[pd.DataFrame, pd.Series]] = {}

    def trials(self, row: Row) -> pd.DataFrame:
        """The trials of a row, in every setting."""
        if row not in self._found:
            self._found[row] = row.trials(self.frame)
        return self._found[row]

    def by_setting(self, rows: Sequence[Row]) -> dict[str, list[pd.DataFrame]]:
        """The trials of each row, by what their setting has that others of these trials have not.

        Trials of two settings are never taken together. Empty where the rows have no trial.
        """
        found = [self.trials(row) for row in rows]
        if all(trials.empty for trials in found):
            return {}
        by_length = any(row.published is not None and row.published.table in BY_LENGTH for row in rows)
        values, numbers = self._numbered(by_length=by_length)
        together = np.concatenate([trials.index for trials in found])
        there = numbers.loc[together].drop_duplicates()
        names = _names(values.loc[there.index])
        return {
            name: [trials[numbers.loc[trials.index] == number] for trials in found]
            for name, number in zip(names, there, strict=True)
        }

    def _numbered(self, *, by_length: bool) -> tuple[pd.DataFrame, pd.Series]:
        """What makes a setting, and its number, a row a trial."""
        if by_length not in self._settings:
            columns = [name for name in configuration_fields(self.frame) if name not in OF_A_ROW]
            values = self.frame[columns]
            if by_length:
                options = [_without_length(text) for text in values["options"]]
                values = values.drop(columns="length").assign(options=options)
            numbers = values.groupby(list(values), dropna=False, sort=False).ngroup()
            self._settings[by_length] = (values, numbers)
        return self._settings[by_length]


def _names(settings: pd.DataFrame) -> list[str]:
    """Each setting by what is not the same in all of them."""
    varying = [name for name in settings if settings[name].nunique(dropna=False) > 1]
    return [
        ", ".join(field_name(str(name).rpartition(".")[2], value) for name, value in zip(varying, row, strict=True))
        for row in settings[varying].astype(object).to_numpy().tolist()
    ]


def _without_length(text: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in options_of(text).items() if name not in LENGTHS)
