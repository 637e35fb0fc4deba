"""The claims as values, read from `claims.toml` and checked."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.report.paper.published import PublishedRow, table_rows, trials_of, trials_with

FILE = Path(__file__).parents[1] / "claims.toml"
# Fields of a row that are text; the others are numbers.
TEXTS = ("budget",)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Frozen):
    """The trials of one configuration, whatever their size and protocol.

    Attributes:
        name: as `claims.toml` has it: the cell, then fields with their values.
        published: the paper's row that it is; None for a row of this project's own.
        fields: what its trials have, where it is this project's own.
    """

    name: str
    published: PublishedRow | None
    fields: tuple[tuple[str, Any], ...]

    def trials(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Those of the frame that stand in the row."""
        return trials_with(frame, **dict(self.fields)) if self.published is None else trials_of(self.published, frame)


class Criterion(_Frozen):
    """One statistic over one or more cases; see the head of `claims.toml`.

    `cases` hold the names of rows. The rest are the numbers of the statistic.
    """

    kind: Literal["direction", "value"]
    statistic: str
    measure: str
    table: int | None = None
    task: str | None = None
    engine: str | None = None
    cases: tuple[tuple[str, ...], ...] = ()
    equal_updates: float | None = None
    wanted: bool | None = None
    margin: float | None = None
    share: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    part: float | None = None
    factor: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> Criterion:
        if self.cases and (self.table is None) == (self.task is None):
            raise ValueError("give a table or a task to find the rows of the cases in")
        if self.engine is not None and self.task is None:
            raise ValueError("an engine is chosen among the trials of a task")
        return self

    @property
    def numbers(self) -> dict[str, Any]:
        """What the statistic is given beside its samples."""
        names = ("wanted", "margin", "share", "value", "low", "high", "part", "factor")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def rows(self, case: tuple[str, ...]) -> tuple[Row, ...]:
        """The rows of a case. Raises `ValueError` for one that the paper's table does not have."""
        return tuple(self._row(name) for name in case)

    def _row(self, name: str) -> Row:
        cell, *words = name.split()
        pairs = (word.split("=") for word in words)
        fields = {key: value if key in TEXTS else float(value) for key, value in pairs}
        if self.table is None:
            own = {"task": self.task, "cell": cell, "p_skip": 0.0, "budget_cost": 0.0}
            own |= {} if self.engine is None else {"engine": self.engine}
            return Row(name=name, published=None, fields=tuple((own | fields).items()))
        wanted = {"cell": cell, "p_skip": 0.0, "budget_cost": 0.0} | fields
        found = [row for row in table_rows(self.table) if all(getattr(row, key) == wanted[key] for key in wanted)]
        if len(found) != 1:
            raise ValueError(f"Table {self.table} has {len(found)} rows {name!r}")
        return Row(name=name, published=found[0], fields=())


class Claim(_Frozen):
    """A statement, and how it is judged; see the head of `claims.toml`."""

    id: str
    statement: str
    source: str
    least_seeds: int = 4
    level: float = Field(default=0.05, gt=0, lt=1)
    scope: Literal["all", "any"] = "all"
    criteria: tuple[Criterion, ...] = Field(alias="criterion", min_length=1)

    @property
    def is_published(self) -> bool:
        """Whether it is of rows of the paper, whose protocol is published."""
        return any(criterion.table is not None for criterion in self.criteria)

    @property
    def across(self) -> tuple[Criterion, ...]:
        """The criteria that compare frameworks with each other, which name no rows."""
        return tuple(criterion for criterion in self.criteria if not criterion.cases)


@cache
def claims() -> tuple[Claim, ...]:
    """All claims, in the order of the file."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Claim.model_validate(entry) for entry in content["claim"])
