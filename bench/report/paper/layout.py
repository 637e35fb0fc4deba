"""The paper's six tables: what each is of, how it prints its numbers, and its published protocol (`tables.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bench.report.paper.published import PublishedRow, table_rows

# Runs of a configuration behind every number that the paper measured itself.
PUBLISHED_RUNS = 4


class PaperTable(BaseModel):
    """One of the paper's tables.

    Attributes:
        number, title: the title in this project's words.
        task: whose trials it is of.
        updates_decimals: of state updates, as printed.
        updates_deviation: what the ± of state updates is over: `runs`, or the test `sequences`.
        units, length, options, protocol: as published; `protocol` has every field. `length` is None where the rows
            are of several `lengths`, which the paper prints side by side.
        left_open: settings that the paper does not tell and this project had to choose, as `settings.py` names them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    title: str
    task: str
    updates_decimals: int
    updates_deviation: Literal["runs", "sequences"] = "runs"
    units: tuple[int, ...]
    length: int | None = None
    lengths: tuple[int, ...] = ()
    options: Mapping[str, Any]
    protocol: Mapping[str, Any]
    left_open: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[PublishedRow, ...]:
        """Its published rows, in order."""
        return table_rows(self.number)

    @property
    def metric(self) -> str:
        """What it measures: `solved`, `accuracy` or `map_percent`."""
        return self.rows[0].metric

    @property
    def updates_unit(self) -> str:
        """`percent` of the steps, or `samples`."""
        return self.rows[0].updates_unit

    @property
    def has_flops(self) -> bool:
        """Whether it has a column of inference FLOPs."""
        return any(row.inference_flops is not None for row in self.rows)


@cache
def paper_tables() -> tuple[PaperTable, ...]:
    """All six, in order."""
    content = tomllib.loads((Path(__file__).parent / "tables.toml").read_text(encoding="utf-8"))
    common = {"steps": None, "epochs": None, **content["protocol"]}
    return tuple(PaperTable(**{**table, "protocol": common | table["protocol"]}) for table in content["table"])
