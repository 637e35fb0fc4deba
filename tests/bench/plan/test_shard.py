"""Shards: each trial in one of them, twins together, and the same whatever else the sweep holds."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.errors import SweepError
from bench.plan import sweep as sweeps
from bench.plan.shard import Shard


def test_every_trial_is_in_one_shard_with_its_twin() -> None:
    trials = sweeps.load("frameworks").trials
    shards = [Shard.parsed(f"{number}/5") for number in range(1, 6)]
    found = {trial.id: [shard.number for shard in shards if shard.holds(trial)] for trial in trials}
    assert {len(numbers) for numbers in found.values()} == {1}
    of_pair: dict[str, set[int]] = {}
    for trial in trials:
        of_pair.setdefault(trial.pair_id(), set()).update(found[trial.id])
    assert {len(numbers) for numbers in of_pair.values()} == {1}
    sizes = Counter(numbers[0] for numbers in found.values())
    assert set(sizes) == {1, 2, 3, 4, 5}, "no machine is left without work"


def test_a_shard_is_stable() -> None:
    """Another version of the project may not deal trials out anew: shards are merged that ran at other times."""
    (first, *_) = sweeps.load("quick").trials
    assert [number for number in range(1, 17) if Shard(number=number, of=16).holds(first)] == [
        int(first.pair_id(), 16) % 16 + 1
    ]


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_shard_is_one_line(text: str) -> None:
    with pytest.raises(SweepError, match="--shard") as raised:
        Shard.parsed(text)
    assert len(str(raised.value).splitlines()) == 1
