"""What is tried of a test with many combinations of parameters: each value in `make test`, all in `make test-slow`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

MARK = "covering"


def leave_combinations(items: Iterable[pytest.Item]) -> None:
    """Marks as slow what adds no value of a parameter, among the cases of each test marked `covering`.

    The mark's arguments are names of parameters, such as `"cell"`, or of some whose combinations all count, such as
    `"framework, engine"`; without any it is each parameter by itself.
    """
    cases: dict[tuple[str, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker(MARK) and not item.get_closest_marker("slow"):
            cases.setdefault((item.nodeid.partition("[")[0], item.originalname), []).append(item)
    for of_a_test in cases.values():
        (mark,) = of_a_test[0].iter_markers(MARK)
        kept = covering([values_of(item, mark.args) for item in of_a_test])
        for place, item in enumerate(of_a_test):
            if place not in kept:
                item.add_marker("slow")


def values_of(item: pytest.Function, names: Sequence[str]) -> set[tuple[str, str]]:
    """A case's values, each with the names that it is of."""
    parameters = item.callspec.params
    groups = names or list(parameters)
    return {(group, repr([parameters[name.strip()] for name in group.split(",")])) for group in groups}


def covering(cases: Sequence[set[tuple[str, str]]]) -> set[int]:
    """The places of few cases that have every value between them.

    One by one that which adds most; of equals that whose values were had least often, then the first.
    """
    left = set().union(*cases)
    uses: Counter[tuple[str, str]] = Counter()
    kept: set[int] = set()
    while left:
        best = max(range(len(cases)), key=lambda at: (len(cases[at] & left), -sum(uses[value] for value in cases[at])))
        kept.add(best)
        uses.update(cases[best])
        left -= cases[best]
    return kept
