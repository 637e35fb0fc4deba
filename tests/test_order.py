"""Files that workers share run longest first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.order import LONGEST, longest_first

ROOT = Path(__file__).parents[1]


def test_every_file_that_is_named_is_there_and_named_once() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)


def test_named_files_come_first_and_tests_stay_in_the_order_of_their_file() -> None:
    names = ["tests/a.py::one", f"{LONGEST[1]}::one", "tests/b.py::one", f"{LONGEST[0]}::two", f"{LONGEST[0]}::one"]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in names]
    longest_first(items)
    assert [item.nodeid for item in items] == [names[3], names[4], names[1], names[0], names[2]]
