"""Does skipping pay: times against the plain cell of the same seed, framework and engine."""

from __future__ import annotations

from typing import Any

import pytest

from bench.records.record import Record, identity
from bench.report.comparison.left_out import untimed, without_plain
from bench.report.comparison.skipping import skipping_against_plain
from bench.report.comparison.tables import skipping_table
from bench.report.comparison.words import payment
from bench.report.figures.skipping import time_against_updates
from bench.report.frames import trials_frame
from tests.bench.report.stored import ENVIRONMENT, ok_record, trial


def timed(cell: str, *, framework: str = "pytorch", seed: int = 0, milliseconds: float = 10.0, **more: Any) -> Record:
    updates = 0.5 if cell.startswith("skip_") else 1.0
    times = {"inference_milliseconds": milliseconds, "inference_milliseconds_batch_1": milliseconds}
    of = {"quality": 0.1, "update_ratio": updates, "implementation": "kernels", **times} | more
    return ok_record(trial("adding", cell, framework, seed=seed), milliseconds=milliseconds, **of)


def test_a_skip_cell_is_timed_against_the_plain_cell_of_its_kind():
    records = [
        record
        for seed in (0, 1)
        for record in (
            timed("lstm", seed=seed),
            timed("gru", seed=seed, milliseconds=20),
            timed("skip_gru", seed=seed, milliseconds=12),
        )
    ]
    found = skipping_against_plain(trials_frame(records))
    assert found.trials["step_milliseconds_ratio"].tolist() == pytest.approx([0.6, 0.6])
    (first, *_) = payment(found)
    assert first == (
        "PyTorch, fast (kernels), training step: skipping pays in 1 configuration "
        "(×0.60 the time at 50 % of the updates)."
    )
    assert skipping_table(found)["training step"].tolist() == ["×0.60 [0.60, 0.60] pays"]


@pytest.mark.parametrize(
    ("milliseconds", "verdict"),
    [
        ([5, 6, 5, 6, 5], "pays"),
        ([15, 16, 15, 16, 15], "does not pay"),
        ([5, 30, 8, 15, 9], "undecided"),
        ([9, 9.5], "pays"),
        ([9, 11], "undecided"),
        ([5], "undecided"),
    ],
)
def test_it_pays_where_the_whole_range_lies_below_the_plain_cell(milliseconds: list[float], verdict: str):
    records = [timed("lstm", seed=seed) for seed in range(len(milliseconds))]
    records += [timed("skip_lstm", seed=seed, milliseconds=value) for seed, value in enumerate(milliseconds)]
    summary = skipping_against_plain(trials_frame(records)).summary
    assert set(summary["verdict"]) == {verdict}


@pytest.mark.parametrize("elsewhere", [{"beside": 2}, {"environment": ENVIRONMENT | {"processor": "another"}}])
@pytest.mark.parametrize(("apart", "verdict"), [(2, "pays"), (3, "undecided")])
def test_the_few_trials_that_unlike_conditions_leave_decide_nothing(
    apart: int, verdict: str, elsewhere: dict[str, Any]
):
    alike = {"beside": 1, "milliseconds": 5}
    records = [timed("lstm", seed=seed, beside=1) for seed in range(3 + apart)]
    records += [timed("skip_lstm", seed=seed, **alike) for seed in range(3)]
    records += [timed("skip_lstm", seed=3 + seed, **(alike | elsewhere)) for seed in range(apart)]
    assert set(skipping_against_plain(trials_frame(records)).summary["verdict"]) == {verdict}


def test_a_time_stands_beside_the_updates_of_the_trials_that_it_was_taken_of():
    """Of three skipping trials one is timed against a plain cell, and one more in inference alone."""
    records = [timed("lstm", seed=seed, beside=0) for seed in range(3)]
    records[1] = timed("lstm", seed=1, beside=0, step_milliseconds=None)
    records += [
        timed("skip_lstm", seed=seed, beside=0 if seed < 2 else 1, milliseconds=5, update_ratio=ratio)
        for seed, ratio in enumerate((0.9, 0.5, 0.1))
    ]
    found = skipping_against_plain(trials_frame(records))
    summary = found.summary.set_index("time")
    assert summary.loc["step_milliseconds", ["trials", "update_ratio"]].tolist() == pytest.approx([1, 0.9])
    assert summary.loc["inference_milliseconds", ["trials", "update_ratio"]].tolist() == pytest.approx([2, 0.7])
    (row,) = skipping_table(found).to_dict("records")
    assert (row["trials"], row["update_ratio"]) == ("2", "70")
    assert row["inference"] == "×0.50 [0.50, 0.50] pays"
    assert row["training step"] == "×0.50 undecided (1 trial, 90 % of the updates)"
    (sentence, *_) = payment(found)
    assert sentence.endswith("(×0.50 the time at 90 % of the updates).")
    (picture,) = time_against_updates(found)
    drawn = {axes.get_title(): axes.lines[-1].get_xdata()[0] for axes in picture.figure.axes}
    assert drawn["training step"] == pytest.approx(0.9)
    assert drawn["inference"] == pytest.approx(0.7)


def test_random_skips_are_timed_too():
    skipping = trial("adding", "lstm", "pytorch").model_copy(update={"p_skip": 0.5})
    found = skipping_against_plain(
        trials_frame([timed("lstm"), ok_record(skipping, quality=0.1, update_ratio=0.5, milliseconds=5.0)])
    )
    assert found.trials["configuration"].tolist() == ["LSTM, p_skip = 0.5"]
    assert found.trials["step_milliseconds_ratio"].tolist() == pytest.approx([0.5])


def test_a_trial_beside_others_is_not_timed_against_a_plain_cell_that_ran_alone():
    found = skipping_against_plain(trials_frame([timed("lstm", beside=0), timed("skip_lstm", beside=1)]))
    assert found.trials["unlike"].tolist() == ["load"]
    assert found.summary.empty
    assert untimed(found) == [
        "Of 1 trial that skips, 1 is not timed against the plain cell, which ran with other load. "
        "Times of the cells by themselves: python -m bench speed."
    ]


def test_a_configuration_that_lacks_some_plain_cells_is_judged_and_said_to_lack_them():
    records = [timed("skip_lstm", seed=seed, milliseconds=5) for seed in range(6)]
    records += [timed("lstm", seed=seed) for seed in range(1, 6)]
    failed = identity(trial("adding", "lstm", "pytorch"))
    found = skipping_against_plain(trials_frame([*records, Record(**failed, status="failed", error="MemoryError")]))
    assert set(found.summary["verdict"]) == {"pays"}
    assert without_plain(found) == [
        "adding problem, T = 10: Skip LSTM (PyTorch): of 6 trials 1 has no plain cell that ended ok."
    ]
    fewer = skipping_against_plain(trials_frame(records[:8]))
    assert without_plain(fewer)[0].endswith("of 6 trials 4 have no plain cell that ended ok.")


def test_no_plain_cell_is_said_and_other_seeds_frameworks_and_conditions_do_not_stand_in():
    others = [timed("lstm", seed=1), timed("lstm", framework="tensorflow")]
    alone = skipping_against_plain(trials_frame([timed("skip_lstm"), *others]))
    assert alone.trials.empty
    assert without_plain(alone) == [
        "adding problem, T = 10: Skip LSTM (PyTorch): no plain cell beside it, so its time is not judged."
    ]
    assert time_against_updates(alone) == []
    elsewhere = timed("skip_lstm", environment=ENVIRONMENT | {"threads": 2})
    unlike = skipping_against_plain(trials_frame([timed("lstm"), elsewhere]))
    assert unlike.trials["unlike"].tolist() == ["numbers of threads (1 and 2)"]
    assert unlike.summary.empty
    assert untimed(unlike) == [
        "Of 1 trial that skips, 1 is not timed against the plain cell, which ran with other numbers of threads "
        "(1 and 2)."
    ]
    assert time_against_updates(unlike) == []
