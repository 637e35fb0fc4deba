"""A task's options as one text: one text a value, which reads back, and a name for people of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.trial import Trial
from bench.report.frames import trials_frame
from bench.report.labels import problem_names
from bench.report.tables.results import aggregate
from bench.report.task_options import option_text, options_of, options_text
from tests.bench.report.stored import ok_record

# What a record holds, and text that is like something else.
LEAVES: Any = st.none() | st.booleans() | st.integers()
# Not the smallest: a process that has trained may have had its processor take them for 0.
LEAVES |= st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
LEAVES |= st.text() | st.text(alphabet='a1, ="[_.\n') | st.sampled_from(["True", "None", "1", "1e-5", "[1, 2]", "{}"])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
OPTIONS = st.tuples(VALUES, VALUES).map(lambda values: dict(zip(("first", "second"), values, strict=True)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (50, "50"),
        (0.5, "0.5"),
        (1.0, "1"),
        (1e-5, "1e-05"),
        (True, "True"),
        (None, "None"),
        ([1, 2], "[1, 2]"),
        ("fashion_mnist", "fashion_mnist"),
        ("a, b", "a, b"),
        ("", ""),
        ("1", '"1"'),
        ("True", '"True"'),
        ("[1, 2]", '"[1, 2]"'),
        ("x, y=2", r'"x, y\u003d2"'),
        ("two\nlines", r'"two\nlines"'),
        (0.1234567890123, "0.1234567890123"),
    ],
)
def test_text_stands_as_it_is_where_it_reads_as_nothing_else(value: object, text: str) -> None:
    assert option_text(value) == text


@given(VALUES, VALUES)
def test_values_that_are_not_equal_have_two_texts(one: object, other: object) -> None:
    assert one == other or option_text(one) != option_text(other)


@given(VALUES)
def test_the_text_of_a_value_is_no_value_s_text_but_where_it_is_itself(value: object) -> None:
    text = option_text(value)
    assert (option_text(text) == text) == (text == value)


@given(OPTIONS)
def test_the_text_of_all_options_holds_that_of_each(options: dict[str, Any]) -> None:
    assert options_of(options_text(options)) == {name: option_text(value) for name, value in options.items()}


@given(OPTIONS, OPTIONS)
def test_problems_that_differ_have_different_names(one: dict[str, Any], other: dict[str, Any]) -> None:
    apart = options_text(one) != options_text(other)
    assert (len(set(problem_names([("mine", one, 3), ("mine", other, 3)]))) == 2) == apart


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("a_b", "a c"), ("a b", "a c")),
        (("a_b", "a b"), ('"a_b"', '"a b"')),
        ((True, "yes"), ("True", '"yes"')),
        ((1, "1"), ("1", '"1"')),
        ((True, "True"), ("yes", "True")),
        ((0.1234567890123, 0.1234567890124), ("0.1234567890123", "0.1234567890124")),
    ],
)
def test_values_that_words_would_merge_stand_as_they_are(
    values: tuple[object, object], told: tuple[str, str], own_trial: Callable[..., Trial]
) -> None:
    """One row and one problem each, whatever is alike in how they read."""
    asked = zip(values, (0.25, 0.75), strict=True)
    rows = aggregate(trials_frame(ok_record(own_trial(value), quality=quality) for value, quality in asked))
    found = {row["problem"]: (row["seeds"], row["quality_mean"]) for row in rows.to_dict("records")}
    assert found == {f"mine, T = 64, value = {name}": (1, mean) for name, mean in zip(told, (0.25, 0.75), strict=True)}
