"""A trial trained again: the same to the bit, as near as seeds are to each other, or a finding."""

from __future__ import annotations

from typing import Any

import pytest

from bench.records.record import Record
from bench.records.upkeep.reproduction import Reproduction, compared
from tests.bench.records.test_records import record, trial

START = {"parameters_checksum": "1a", "batches_checksum": "2b", "data_fingerprint": "3c"}
OUTCOME = {"quality": 0.9, "loss": 0.3, "update_ratio": 0.5}
SEALED = {"curve.csv": "c", "final.npz": "f", "gates.npz": "g"}


def told(*, seed: int = 0, **changes: Any) -> Record:
    return record(trial(seed=seed), **{**START, **OUTCOME, "files": SEALED, **changes})


# Of quality, loss and update ratio the standard deviation over these seeds is a tenth, exactly.
SEEDS = [
    told(seed=seed, quality=0.9 + by, loss=0.3 + by, update_ratio=0.5 + by) for seed, by in enumerate((0, 0.1, -0.1))
]


def second(seeds: list[Record] = SEEDS, **changes: Any) -> Reproduction:
    return compared(told(), told(**changes), seeds=seeds)


def test_the_same_numbers_parameters_and_gates_are_identical_whatever_the_curve_says_of_time() -> None:
    found = second(files=SEALED | {"curve.csv": "of another day"}, step_milliseconds=3.0, command="another")
    assert (found.verdict, found.differing, found.reproduced) == ("identical", (), True)


@pytest.mark.parametrize("name", ["final.npz", "gates.npz"])
def test_other_parameters_or_gates_are_not_identical_even_where_all_numbers_are(name: str) -> None:
    found = second(files=SEALED | {name: "other"})
    assert (found.verdict, found.differing, found.reproduced) == ("within the seeds' spread", (name,), True)


@pytest.mark.parametrize("files", [{}, {"curve.csv": "c"}])
def test_a_record_from_before_files_were_told_is_compared_by_its_numbers(files: dict[str, str]) -> None:
    """Identical would say that its parameters were compared."""
    found = second(files=files)
    assert (found.verdict, found.differing, found.reproduced) == ("the same numbers", (), True)
    assert second(files=files, loss=0.31).verdict == "within the seeds' spread"


@pytest.mark.parametrize("name", ["parameters_checksum", "batches_checksum", "data_fingerprint"])
def test_a_start_that_one_record_does_not_tell_is_not_compared(name: str) -> None:
    assert second(**{name: ""}).verdict == "identical"


@pytest.mark.parametrize("name", ["quality", "loss", "update_ratio"])
@pytest.mark.parametrize(
    ("by", "verdict", "reproduced"),
    [
        (0.29, "within the seeds' spread", True),
        (-0.29, "within the seeds' spread", True),
        (0.31, "apart", False),
        (-0.31, "apart", False),
    ],
)
def test_a_number_may_be_three_deviations_off(name: str, by: float, verdict: str, reproduced: bool) -> None:
    found = second(**{name: OUTCOME[name] + by})
    assert (found.verdict, found.differing, found.reproduced) == (verdict, (name,), reproduced)


def test_a_difference_is_judged_by_three_seeds_at_the_least_that_ended() -> None:
    two = SEEDS[:2]
    diverged = [told(seed=seed, status="diverged") for seed in (5, 6)]
    assert second(two, quality=0.91).verdict == "not judged"
    assert second([*two, *diverged], quality=0.91).verdict == "not judged"
    assert second([*two, told(seed=1)], quality=0.91).verdict == "not judged"
    assert not second(two, quality=0.91).reproduced


def test_a_number_that_one_of_them_lacks_is_not_judged() -> None:
    assert second(quality=None).verdict == "not judged"


@pytest.mark.parametrize("name", START)
def test_another_start_is_no_reproduction_even_where_the_outcome_is_the_same(name: str) -> None:
    found = second(**{name: "other"})
    assert (found.verdict, found.differing, found.reproduced) == ("started otherwise", (name,), False)


def test_another_end_is_no_reproduction() -> None:
    found = second(status="diverged")
    assert (found.verdict, found.reproduced) == ("ended otherwise", False)


@pytest.mark.parametrize(
    ("changes", "verdict", "differing"),
    [
        ({}, "the same numbers", ()),
        ({"steps": 2}, "ended otherwise", ("steps",)),
        ({"error": "the budget loss became inf at step 9"}, "ended otherwise", ("error",)),
    ],
)
def test_two_trials_that_diverged_are_one_only_where_they_did_so_at_the_same_step_for_the_same_reason(
    changes: dict[str, Any], verdict: str, differing: tuple[str, ...]
) -> None:
    ended = dict.fromkeys(OUTCOME) | {"status": "diverged", "steps": 9, "files": {"curve.csv": "c"}}
    ended |= {"error": "the training loss became nan at step 9"}
    found = compared(told(**ended), told(**(ended | changes)), seeds=SEEDS)
    assert (found.verdict, found.differing, found.reproduced) == (verdict, differing, not changes)


def test_what_rounding_depends_on_is_named_where_it_differs() -> None:
    here = {
        "processor": "A",
        "packages": {"torch": "2.13.0", "numpy": "2.4"},
        "project": {"commit": "0123456789abcdef"},
    }
    there = {"processor": "B", "packages": {"torch": "2.13.0", "numpy": "2.5"}, "gpu": "H100"}
    found = compared(told(environment=here), told(environment=there), seeds=SEEDS)
    assert set(found.conditions) == {
        "processor B for A",
        "numpy 2.5 for 2.4",
        "gpu H100 for not told",
        "commit not told for 0123456789",
    }
