"""Under what conditions two trials ran: times and memory of unlike ones are not compared."""

from __future__ import annotations

from typing import Any

from bench.report.load import like_load
from bench.report.machines import CONDITIONS, conditions_of

# What else ran on the machine; how much on either side is in the records.
LOAD = "load"


def unlike_conditions(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """What differs, such as `numbers of threads (1 and 4)`, `LOAD` last; nothing where times can be compared."""
    ours, theirs = conditions_of(left), conditions_of(right)
    found = [
        f"{words} ({ours[name]} and {theirs[name]})" for name, words in CONDITIONS.items() if ours[name] != theirs[name]
    ]
    return found if like_load(left, right) else [*found, LOAD]
