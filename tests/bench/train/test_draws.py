"""Skips that a batch brings: random and periodic ones, of a trial and of the sweep that compares them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from bench.plan import sweep as sweeps
from bench.plan.trial import Trial, build_trial
from bench.train.draws import with_draws
from impls.contract import FRAMEWORKS, Array, Batch


def trial(**changes: Any) -> Trial:
    return build_trial({"task": "adding", "cell": "lstm", "framework": "pytorch", **changes}, where="test")


def updates_of(made: Trial, *, size: int = 64) -> Array | None:
    plain = made.build_task().train_batch(seed=made.seed, step=0, size=size)
    return with_draws(plain, made, stream="train", step=0).updates


@pytest.mark.parametrize(("period", "length"), [(2, 7), (3, 10), (5, 5), (4, 30), (60, 30)])
@pytest.mark.parametrize("stream", ["train", "test"])
def test_a_periodic_skip_updates_first_and_then_every_periodth_step(period: int, length: int, stream: str) -> None:
    batch = Batch(inputs=np.zeros((3, length, 2), np.float32), targets=np.zeros((3, 1), np.float32))
    drawn = with_draws(batch, trial(period=period), stream=stream, step=1).updates
    assert drawn is not None
    assert drawn.dtype == np.float32
    assert drawn.shape == (3, length)
    for row in drawn:
        assert np.flatnonzero(row).tolist() == list(range(0, length, period))
        assert set(row) <= {0.0, 1.0}


def test_a_period_of_one_leaves_the_batch_alone() -> None:
    assert updates_of(trial(period=1)) is None


def asked_share(made: Trial) -> float:
    """The share of steps that a trial updates, or that its budget asks for."""
    if made.cell.startswith("skip_"):
        return made.budget_target / made.build_task().length
    updates = updates_of(made, size=2000)
    return 1.0 if updates is None else float(updates.mean())


def test_the_sweep_of_skips_compares_at_equal_updates() -> None:
    """Learned, random and periodic skips have the same shares of updates, in both frameworks and for both kinds."""
    shares: dict[tuple[str, str, str], set[float]] = defaultdict(set)
    for made in sweeps.load("ablations-skips").trials:
        if made.cell.startswith("skip_"):
            way = "learned"
        elif made.p_skip:
            way = "random"
        else:
            way = "periodic" if made.period > 1 else "every"
        share = asked_share(made)
        assert share == pytest.approx(round(share, 1), abs=0.005)
        shares[made.framework, made.cell.removeprefix("skip_"), way].add(round(share, 1))
    wanted = {"learned": {0.5, 0.2, 0.1}, "random": {0.5, 0.2, 0.1}, "periodic": {0.5, 0.2, 0.1}, "every": {1.0}}
    assert shares == {
        (framework, kind, way): wanted[way] for framework in FRAMEWORKS for kind in ("lstm", "gru") for way in wanted
    }
