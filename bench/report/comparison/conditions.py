"""Under what conditions trials ran: times and memory of unlike ones are not compared, in pairs or in claims."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.frames import rows_of
from bench.report.load import like_load
from bench.report.machines import COMPILER, CONDITIONS, VERSIONS, conditions_of, versions_of

# What people call a condition, by its column.
WORDS = CONDITIONS | {name: words for of_one in (*VERSIONS.values(), COMPILER) for name, words in of_one.items()}
# What else ran on the machine; how much on either side is in the records.
LOAD = "load"


def unlike_conditions(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """What differs, such as `numbers of threads (1 and 4)`, `LOAD` last; nothing where times can be compared.

    Versions of a framework are compared between trials of one alone.
    """
    ours, theirs = (conditions_of(side) | versions_of(side) for side in (left, right))
    found = [
        f"{WORDS[name]} ({told} and {theirs[name]})"
        for name, told in ours.items()
        if name in theirs and told != theirs[name]
    ]
    return found if like_load(left, right) else [*found, LOAD]


def of_like_conditions(sides: Sequence[pd.DataFrame]) -> tuple[list[pd.DataFrame], dict[int, str]]:
    """Of trials that are compared seed by seed, a frame a side: the seeds whose trials all ran under like conditions.

    A seed that did not end ok on every side has no times to compare, and is left out without a word.

    Returns the sides with these seeds alone, and of each seed that conditions leave out what differs.
    """
    by_seed = [{row["seed"]: row for row in rows_of(side[side["status"] == "ok"])} for side in sides]
    unlike, alike = {}, []
    for seed in sorted(set.intersection(*map(set, by_seed))):
        pairs = itertools.combinations([rows[seed] for rows in by_seed], 2)
        why = next(filter(None, (", ".join(unlike_conditions(*pair)) for pair in pairs)), "")
        if why:
            unlike[int(seed)] = why
        else:
            alike.append(seed)
    return [side[side["seed"].isin(alike)] for side in sides], unlike
