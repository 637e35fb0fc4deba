"""The published protocol of each table, and in what the trials of a sweep depart from it.

`protocols.toml` holds the protocols. Trials that depart can show a direction, never a published value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

# How a departure is said; other fields have their name.
WORDS = {"batch_size": "batch", "learning_rate": "rate", "learning_rate_schedule": "rate's schedule"}


@dataclass(frozen=True, kw_only=True)
class Departure:
    """One field in which trials depart from a table's protocol.

    Attributes:
        part: `units`, `options` or `protocol`.
        field: the name in that part; `training` is its length, in steps or epochs.
        ours, published: the values as people read them.
    """

    part: str
    field: str
    ours: str
    published: str

    def __str__(self) -> str:
        if self.field == "training":
            return f"{self.ours} for {self.published}"
        words = WORDS.get(self.field, self.field.replace("_", " "))
        return f"{words} {self.ours} for {self.published}"


def runs() -> int:
    """How many runs of each configuration the paper has."""
    return int(_published()["runs"])


def departures(table: int, trials: pd.DataFrame) -> tuple[Departure, ...]:
    """In what trials that stand in rows of a table depart from its protocol, in the order of the protocol's fields.

    The number of runs is none of it. How often is evaluated counts where the best evaluation is what is reported.
    Trials that have several values of a field name all of them.
    """
    published = _published()["table"][str(table)]
    protocol: dict[str, Any] = {**_published()["every"]["protocol"], **published["protocol"]}
    length = {name: protocol.pop(name) for name in ("steps", "epochs") if name in protocol}
    found = [_departure("units", "units", trials["units"], published["units"])]
    options = [options_of(text) for text in trials["options"]]
    for name, value in published["options"].items():
        found.append(_departure("options", name, [own.get(name, "none") for own in options], value))
    found.append(_training(trials, length))
    best = (trials["reported"] == "best_validation").any()
    for name, value in protocol.items():
        if name != "evaluate_every" or best:
            found.append(_departure("protocol", name, trials[f"protocol.{name}"], value))
    return tuple(departure for departure in found if departure is not None)


def described(found: Iterable[Departure]) -> str:
    """Such as `units 64 for 110, 3,000 steps for 100,000`; empty where nothing departs."""
    return ", ".join(map(str, found))


def options_of(text: str) -> dict[str, str]:
    """A trial's options by name, from the text that frames hold, such as `length=50`."""
    return dict(part.split("=", 1) for part in text.split(", ") if part)


def _departure(part: str, field: str, values: Iterable[Any], published: Any) -> Departure | None:
    allowed = [_value(value) for value in (published if isinstance(published, list) else [published])]
    ours = list(dict.fromkeys(_value(value) for value in values))
    if set(ours) <= set(allowed):
        return None
    return Departure(part=part, field=field, ours=_told(ours), published=_told(allowed))


def _training(trials: pd.DataFrame, published: Mapping[Any, int]) -> Departure | None:
    """The length of training, which is told in steps or in epochs."""
    ((unit, length),) = published.items()
    ours = list(dict.fromkeys(_lengths(trials)))
    if ours == [(unit, length)]:
        return None
    told = " and ".join(f"{own:,.0f} {name}" for name, own in ours)
    same = all(name == unit for name, _ in ours)
    return Departure(
        part="protocol", field="training", ours=told, published=f"{length:,}" if same else f"{length:,} {unit}"
    )


def _lengths(trials: pd.DataFrame) -> list[tuple[str, float]]:
    both = zip(trials["protocol.steps"], trials["protocol.epochs"], strict=True)
    return [("epochs", epochs) if pd.isna(steps) else ("steps", steps) for steps, epochs in both]


def _value(value: Any) -> float | str:
    """A value as it is compared: a frame may hold a number as such or as text."""
    try:
        return float(value)
    except ValueError:
        return str(value) or "none"


def _told(values: Iterable[float | str]) -> str:
    return " and ".join(value if isinstance(value, str) else f"{value:,.12g}".replace("e-0", "e-") for value in values)


@cache
def _published() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "protocols.toml").read_text(encoding="utf-8"))
