"""Records and their store: atomic, resumable, and loud about what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import RecordError
from bench.machine.disk import write_atomically
from bench.plan.trial import Trial, build_trial
from bench.records.record import Record, failure, trial_of
from bench.records.store import Store, write_curve


def trial(**changes: Any) -> Trial:
    content = {"task": "adding", "cell": "lstm", "framework": "pytorch"}
    return build_trial({**content, **changes}, where="test")


def record(of: Trial, **changes: Any) -> Record:
    made = failure(of, sweep="mine", status="ok", error="")
    return made.model_copy(update={"finished": "2018-04-30T12:00:00+00:00", **changes})


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path, "mine")
    written = record(trial(units=[16, 24]), quality=0.25, updates=3.5)
    store.write(written)
    assert store.read(written.trial_id) == written
    assert list(store.records()) == [written]


def test_a_record_is_dated_when_it_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path, "mine")
    store.write(record(trial(), finished=""))
    written = store.read(trial().id)
    assert written is not None
    assert written.finished.endswith("+00:00")


def test_a_record_tells_its_trial_whole() -> None:
    for made in (
        trial(),
        trial(cell="lstm", period=5),
        trial(task="digits", cell="skip_gru", units=[3, 4], budget_cost=1e-4, seed=5),
    ):
        assert trial_of(record(made)).id == made.id


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    store = Store(tmp_path, "mine")
    path = store.write(record(trial(), loss=float("nan"), quality=float("inf")))
    content = json.loads(path.read_text())
    assert content["loss"] is None
    assert content["quality"] is None


def test_missing_are_those_without_a_record_and_those_that_failed(tmp_path: Path) -> None:
    store = Store(tmp_path, "mine")
    trials = [trial(seed=seed) for seed in range(5)]
    for made, status in zip(trials, ("ok", "diverged", "failed", "timeout"), strict=False):
        store.write(record(made, status=status))
    assert store.missing(trials) == trials[2:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("{}", "the key 'trial_id' is missing"),
        ("\xff", "not valid JSON"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    store = Store(tmp_path, "mine")
    path = store.write(record(trial()))
    path.write_text(text)
    with pytest.raises(RecordError) as caught:
        store.read(trial().id)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_curve_has_a_row_an_evaluation(tmp_path: Path) -> None:
    write_curve(tmp_path / "curve.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}])
    assert (tmp_path / "curve.csv").read_text().splitlines() == ["step,loss", "1,0.5", "2,0.25"]
