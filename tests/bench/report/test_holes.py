"""Trials that did not end ok are in no mean and no line, and a mean of some of the seeds says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.plan.trial import Trial
from bench.records.record import Record, failure, identity
from bench.records.store import Store, write_curve
from bench.report.comparison.paired_differences import compare
from bench.report.figures.learning_curves import learning_curves
from bench.report.figures.quality import quality_against_update_ratio
from bench.report.figures.style import Picture, house_style
from bench.report.frames import curves_frame, trials_frame
from bench.report.page import sections
from bench.report.tables.results import aggregate, readable
from bench.tasks import TASKS
from bench.tasks.digits import Digits
from tests.bench.report.stored import ok_record, trial

SKIP, PLAIN = "Skip LSTM, λ = 0.01", "LSTM"


def skip(seed: int) -> Trial:
    return trial("adding", "skip_lstm", "pytorch", seed=seed, budget_cost=0.01)


def troubled(of: Trial, status: str = "diverged") -> Record:
    return Record(**identity(of), status=status, error="the training loss became nan at step 19")


@pytest.fixture
def records() -> list[Record]:
    """One of three seeds of the skip cell ended ok, with the lowest error; of the plain cell all did."""
    plain = [ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.02) for seed in range(3)]
    return [ok_record(skip(0), quality=0.01, update_ratio=0.5), troubled(skip(1)), troubled(skip(2), "failed"), *plain]


def drawn(frame: pd.DataFrame) -> list[Picture]:
    with house_style():
        return quality_against_update_ratio(frame)


def test_a_learning_curve_is_of_trials_that_ended_ok(records: list[Record], tmp_path: Path) -> None:
    """Others were evaluated until they ended, and would leave the mean there."""
    store = Store(tmp_path)
    for record in records:
        store.write(record)
        rows = [{"step": 10, "quality": 0.25}, {"step": 20, "quality": 0.125}]
        write_curve(
            store.folder_of(record.trial_id) / "curve.csv",
            rows if record.status == "ok" else [rows[0] | {"quality": 5.0}],
        )
    frame = trials_frame(records, missing=[trial("adding", "lstm", "pytorch", seed=3)])
    with house_style():
        (picture,) = learning_curves(curves_frame(frame, store=store), frame)
    lines = picture.data.set_index(["label", "step"])
    assert lines["quality_mean"].to_dict() == {
        (SKIP, 10): 0.25,
        (SKIP, 20): 0.125,
        (PLAIN, 10): 0.25,
        (PLAIN, 20): 0.125,
    }
    assert lines["seeds"].tolist() == [3, 3, 1, 1]
    assert "Of 7 runs 1 was not run and 2 did not end ok: in no line." in picture.caption


def test_the_best_of_a_summary_says_of_how_many_seeds_it_is_the_mean(records: list[Record]) -> None:
    def best(*among: Record) -> str:
        frame = trials_frame(among)
        return sections.summary(frame, compare(frame, apart="framework"), verdicts=[]).points[0]

    assert "lowest mean squared error 0.01000, the mean of 1 of 3 seeds, by Skip LSTM" in best(*records)
    assert "lowest mean squared error 0.02000, the mean of 3 seeds, by LSTM" in best(*records[3:])
    assert "lowest mean squared error 0.01000 by Skip LSTM" in best(records[0])


def test_a_marker_of_some_seeds_alone_is_named_in_the_caption(records: list[Record]) -> None:
    (picture,) = drawn(trials_frame(records))
    assert picture.caption.endswith(f" Means of some seeds alone: {SKIP} in PyTorch (1 of 3 seeds).")
    (picture,) = drawn(trials_frame(records[3:]))
    assert "alone" not in picture.caption


@pytest.mark.parametrize("number", [{"quality": float("nan")}, {"update_ratio": float("inf")}])
def test_a_configuration_without_a_mean_has_no_marker(records: list[Record], number: dict[str, float]) -> None:
    """As the results table says `no number` of it."""
    odd = records[-1].model_copy(update=number)
    (picture,) = drawn(trials_frame([*records[:-1], odd]))
    assert picture.data["label"].tolist() == [SKIP]
    assert f" No marker, since a seed ended ok without a finite number: {PLAIN} in PyTorch." in picture.caption
    assert drawn(trials_frame([*records[3:5], odd])) == []


def test_a_trial_whose_task_cannot_be_asked_stands_in_the_row_of_its_other_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It failed, or has not run, for want of the data that tell the length; another seed's record has it."""

    class Mine(Digits):
        name = "mine"

    monkeypatch.setitem(TASKS, "mine", Mine)
    kept, failed, missing = [trial("mine", "lstm", "pytorch", seed=seed) for seed in range(3)]
    ended = ok_record(kept, quality=0.5)
    monkeypatch.setattr(Mine, "length", property(lambda self: 1 / 0))
    lost = failure(failed, status="failed", error="FileNotFoundError: no data")
    assert lost.length == 0
    frame = trials_frame([lost, ended], missing=[missing])
    row = readable(aggregate(frame)).text.to_dict("records")
    assert [(each["task"], each["seeds"], each["metric"], each["status"]) for each in row] == [
        ("mine, T = 64", "1 of 3", "accuracy (%) ↑", "1 ok, 1 failed, 1 missing")
    ]
    assert trials_frame([lost])["problem"].tolist() == ["mine, T = 0"]
