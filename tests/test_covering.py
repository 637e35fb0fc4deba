"""Every value of every parameter is tried in `make test`, and every combination in `make test-slow`."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.covering import covering

pytest_plugins = ["pytester"]

CASES = """
import pytest

@pytest.mark.covering("first, second", "third")
@pytest.mark.parametrize("third", "xyz")
@pytest.mark.parametrize("second", "cd")
@pytest.mark.parametrize("first", "ab")
def test_some(first, second, third): pass

@pytest.mark.covering
@pytest.mark.parametrize(("first", "second"), ["ac", "ad", pytest.param("b", "e", marks=pytest.mark.slow), "bd"])
def test_alone(first, second): pass

@pytest.mark.parametrize("first", "ab")
@pytest.mark.parametrize("second", "cd")
def test_all(first, second): pass
"""


@given(st.lists(st.sets(st.tuples(st.sampled_from("ab"), st.sampled_from("12345"))), min_size=1, max_size=12))
def test_no_value_is_missing_and_no_case_in_vain(cases: list[set[tuple[str, str]]]) -> None:
    kept = covering(cases)
    assert set().union(*(cases[place] for place in kept)) == set().union(*cases)
    assert len(kept) <= len(set().union(*cases))


def test_a_product_needs_as_many_as_its_longest_side() -> None:
    cases = [{("a", x), ("b", y), ("c", z)} for x, y, z in product("12", "123", "12")]
    assert len(covering(cases)) == 3


def test_what_adds_nothing_is_slow(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers =\n  slow\n  covering\n")
    pytester.makeconftest(
        "import pytest\nfrom tests.covering import leave_combinations\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_collection_modifyitems(items): leave_combinations(items)\n"
    )
    pytester.makepyfile(CASES)
    often, rarely = (_run(pytester, chosen) for chosen in ("not slow", "slow"))
    assert {name for name in often if "all" in name} == {f"test_all[{x}-{y}]" for x, y in product("cd", "ab")}
    assert {name for name in often if "alone" in name} == {"test_alone[a-c]", "test_alone[b-d]"}
    some = {name for name in often if "some" in name}
    assert len(some) == 4
    assert {name[10:13] for name in some} == {"a-c", "a-d", "b-c", "b-d"}
    assert {name[14] for name in some} == set("xyz")
    assert not often & rarely
    assert len(often | rarely) == 12 + 4 + 4


def _run(pytester: pytest.Pytester, chosen: str) -> set[str]:
    result = pytester.runpytest_inprocess("-q", "-m", chosen, "--collect-only", "-p", "no:cacheprovider")
    return {line.rpartition("::")[2] for line in result.outlines if "::" in line}
