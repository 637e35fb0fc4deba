"""Each kind of fault in a few runs, and a share of the single changes; `make soak` plays many rounds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import pytest

from tests.faults import machines
from tests.faults.runs import ROOT
from tests.faults.schedule import (
    CLUSTER_FAULTS,
    DAMAGES,
    FAULTS,
    LAST,
    PAST,
    Disturbed,
    cluster_schedule,
    covering_schedule,
    schedule,
)

pytest.importorskip("torch")
pytest.importorskip("tensorflow")

ROUNDS, SHARE = 2, 0.04


def program(words: Sequence[str], *, seconds: float) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"python -m {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_sweeps_that_every_kind_of_fault_disturbed_come_to_the_files_of_an_undisturbed_one() -> None:
    """Of trials that learn nothing: what a framework goes on from is held against its bits by test_killed_trials."""
    seed = 2 * (time.time_ns() % 1_000_000)  # an even one and the next have every fault between them
    told = program(
        ["tests.faults", "--on", "fake", "--rounds", "2", "--seed", str(seed), "--workers", "2"], seconds=3600
    )
    assert "2 rounds of" in told


@pytest.mark.slow
def test_disturbed_sweeps_come_to_the_bits_of_an_undisturbed_one_and_leave_nothing_behind() -> None:
    seed = time.time_ns() % 1_000_000  # others each time; what is printed plays one again
    told = program(["tests.faults", "--rounds", str(ROUNDS), "--seed", str(seed), "--workers", "2"], seconds=3600)
    assert f"{ROUNDS} rounds of" in told


@pytest.mark.slow
@pytest.mark.skipif(not machines.can_be_made(), reason="no machine can be made here of namespaces")
def test_so_do_disturbed_sweeps_on_clusters() -> None:
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    seed = time.time_ns() % 1_000_000
    told = program(["tests.faults", "--on", "ray", "--rounds", "2", "--seed", str(seed)], seconds=3600)
    assert "2 rounds of" in told


def test_a_fault_at_any_single_change_loses_nothing() -> None:
    seed = time.time_ns() % 1_000_000
    told = program(["tests.faults.points", "--share", str(SHARE), "--seed", str(seed)], seconds=3600)
    assert "0 with something wrong" in told


@pytest.mark.parametrize("pair", range(20))
def test_two_short_rounds_have_every_fault_and_damage_once_and_what_ends_a_run_comes_last(pair: int) -> None:
    runs = [*covering_schedule(2 * pair), *covering_schedule(2 * pair + 1)]
    assert sorted(each.fault for disturbed in runs for each in disturbed.faults) == sorted(FAULTS)
    assert sorted(damage for disturbed in runs for damage in disturbed.damages) == sorted(DAMAGES)
    ends = [[each.fault in (*LAST, *PAST) for each in run.faults] for run in runs]
    assert all(of_a_run == [False] * (len(of_a_run) - 1) + [True] for of_a_run in ends)
    assert [run.company for run in runs] == [run.faults[-1].fault in PAST for run in runs]


@pytest.mark.parametrize(("made", "faults"), [(schedule, FAULTS), (cluster_schedule, CLUSTER_FAULTS)])
def test_every_fault_and_damage_is_drawn_and_a_seed_draws_the_same_again(
    made: Callable[[int], list[Disturbed]], faults: Sequence[str]
) -> None:
    drawn = [disturbed for seed in range(200) for disturbed in made(seed)]
    assert {each.fault for disturbed in drawn for each in disturbed.faults} == set(faults)
    assert {damage for disturbed in drawn for damage in disturbed.damages} == set(DAMAGES)
    assert made(7) == made(7)
    assert all(
        disturbed.company for disturbed in drawn for each in disturbed.faults if each.fault.endswith("past its lease")
    )
