"""The estimate before the first trial: a model of the sizes at this machine's pace, or a record where there is one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bench.launch import estimate
from bench.launch.calibration import CALIBRATION_SECONDS, ROUND_SECONDS, slowdown
from bench.plan.trial import build_trial
from bench.records.record import Record, identity
from bench.records.store import Store

TRIAL = build_trial({"task": "adding", "cell": "lstm", "framework": "pytorch"}, where="test")


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_slowdown_is_the_time_of_a_round_against_the_quiet_machines(factor: float) -> None:
    seconds = itertools.count()
    assert slowdown(clock=lambda: next(seconds) * ROUND_SECONDS * factor, work=lambda: None) == pytest.approx(
        factor, rel=2 * ROUND_SECONDS * factor / CALIBRATION_SECONDS
    )


def test_a_slower_machine_has_longer_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = estimate.estimate_seconds(TRIAL, data=tmp_path)
    assert quiet is not None
    for pace, expected in ((1.0, 1.0), (7.0, 4.0)):
        monkeypatch.setattr(estimate, "slowdown", lambda pace=pace: pace)
        guesses = estimate.estimates([TRIAL], store=Store(tmp_path), data=tmp_path)
        assert guesses == {TRIAL.id: pytest.approx(expected * quiet)}


def test_a_record_of_another_seed_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "slowdown", lambda: pytest.fail("nothing is left to calibrate for"))
    store = Store(tmp_path)
    store.write(Record(**identity(TRIAL), status="ok", total_seconds=12.5))
    other = TRIAL.model_copy(update={"seed": 5})
    assert estimate.estimates([other], store=store, data=tmp_path) == {other.id: 12.5}
