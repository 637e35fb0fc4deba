"""What is done to a round's runs, and when: drawn from the round's seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
# After which nothing else can happen to the run.
LAST: tuple[Fault, ...] = (
    "run killed",
    "run asked to end",
    "group killed",
    "group interrupted",
    "disk filled",
    "files limited",
)
# After which another machine's run takes over.
PAST: tuple[Fault, ...] = ("run paused past its lease", "group paused past its lease")
# While a run on a Ray cluster goes on. A node, or a whole cluster, that is lost is added again; a node that is paused
# until it counts as lost comes back late: soon, in a later run, or when all is done.
ClusterFault = Literal[
    "command killed",
    "command asked to end",
    "worker killed",
    "raylet killed",
    "node killed",
    "node paused until it is lost",
    "cluster killed",
    "run killed",
    "run asked to end",
    "run interrupted",
    "run paused past its lease",
    "disk filled",
]
CLUSTER_FAULTS: tuple[ClusterFault, ...] = get_args(ClusterFault)
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

    fault: Fault | ClusterFault
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
    return [_disturbed(draw, FAULTS, idle_seconds=6.0) for _ in range(draw.randint(1, 3))]


def covering_schedule(seed: int) -> list[Disturbed]:
    """The disturbed runs of a round, in order; seeds 2n and 2n + 1 have every fault and damage between them."""
    pair, half = divmod(seed, 2)
    draw = random.Random(f"{pair} covering")
    first = [name for name in FAULTS if name not in (*LAST, *PAST)]
    last, past, first, damages = (draw.sample(names, len(names)) for names in (LAST, PAST, first, DAMAGES))
    dealt = [name for name in last if name != "files limited"]  # which ends a run before anything else can happen
    runs = []
    for place in range(half, len(LAST), 2):
        own = first[dealt.index(last[place]) :: len(dealt)] if last[place] in dealt else []
        # Once a run is under way, and a little later each; a disk is slow from the start.
        faults = [
            Injected(
                fault=name, after="" if number and own != ["disk slow"] else AFTER[-1], seconds=draw.uniform(0, 0.8)
            )
            for number, name in enumerate([*own, last[place]])
        ]
        runs.append(Disturbed(faults=tuple(faults), damages=tuple(damages[place :: len(LAST)]), company=False))
    # In the end, since the other machine's run meanwhile does all that is left.
    pause = Injected(fault=past[half], after=AFTER[-1], seconds=draw.uniform(0, 0.8))
    return [*runs, Disturbed(faults=(pause,), damages=(), company=True)]


def cluster_schedule(seed: int) -> list[Disturbed]:
    """The disturbed runs of a round on a cluster, in order."""
    draw = random.Random(f"{seed} cluster")
    return [_disturbed(draw, CLUSTER_FAULTS, idle_seconds=15.0) for _ in range(draw.randint(1, 3))]


def _disturbed(draw: random.Random, choice: Sequence[Fault | ClusterFault], *, idle_seconds: float) -> Disturbed:
    faults = []
    for _ in range(draw.randint(1, 3)):
        after = draw.choice(AFTER)
        seconds = draw.uniform(0, 0.5 if after else idle_seconds)
        faults.append(Injected(fault=draw.choice(choice), after=after, seconds=seconds))
    past = any(each.fault.endswith("past its lease") for each in faults)
    damages = tuple(draw.choice(DAMAGES) for _ in range(draw.randint(0, 3)))
    return Disturbed(faults=tuple(faults), damages=damages, company=past or draw.random() < 0.2)
