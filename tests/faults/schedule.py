"""What is done to a round's runs, and when: drawn from the round's seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

# While a run goes on. A pause past the lease has another machine's run take over; `two sweeps` is no fault but company.
Fault = Literal[
    "trial killed",
    "trial asked to end",
    "trial paused",
    "server killed",
    "run killed",
    "run asked to end",
    "group killed",
    "group interrupted",
    "run paused past its lease",
    "group paused past its lease",
    "disk filled",
    "files limited",
    "disk slow",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
# Between two runs.
Damage = Literal[
    "checkpoint flipped",
    "checkpoint cut",
    "record flipped",
    "record cut",
    "lease cut",
    "attempts cut",
    "dates put back",
    "dates put ahead",
]
DAMAGES: tuple[Damage, ...] = get_args(Damage)
# What is waited for before a fault: nothing, or a file of this kind more than there were.
AFTER = ("", "running/*", "running/*/checkpoint-*.npz", "trials/*/record.json")


@dataclass(frozen=True, kw_only=True)
class Injected:
    """A fault, so many seconds after one more of these files is there."""

    fault: Fault
    after: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Disturbed:
    """One run: what happens to it, what is damaged after it, and whether another machine's run is beside it."""

    faults: tuple[Injected, ...]
    damages: tuple[Damage, ...]
    company: bool


def schedule(seed: int) -> list[Disturbed]:
    """The disturbed runs of a round, in order."""
    draw = random.Random(seed)
    return [_disturbed(draw) for _ in range(draw.randint(1, 3))]


def _disturbed(draw: random.Random) -> Disturbed:
    faults = []
    for _ in range(draw.randint(1, 3)):
        after = draw.choice(AFTER)
        faults.append(Injected(fault=draw.choice(FAULTS), after=after, seconds=draw.uniform(0, 0.5 if after else 6.0)))
    past = any(each.fault.endswith("past its lease") for each in faults)
    damages = tuple(draw.choice(DAMAGES) for _ in range(draw.randint(0, 3)))
    return Disturbed(faults=tuple(faults), damages=damages, company=past or draw.random() < 0.2)
