"""The framework comparison: paired differences by hand, and everything that is not a pair named."""

from __future__ import annotations

import numpy as np
import pytest

from bench.report.comparison.bootstrap import mean_interval
from bench.report.comparison.pairs import compare_frameworks, readable_summary
from bench.report.frames import read_records, sweep_frame, trials_frame
from tests.bench.report.stored import ENVIRONMENT, ok_record, trial


@pytest.fixture(scope="module")
def comparison(stored):
    return compare_frameworks(sweep_frame(read_records("stored", results=stored.results)))


def test_differences_are_second_minus_first_framework(comparison):
    skip = comparison.pairs[comparison.pairs["cell"] == "skip_lstm"]
    assert set(skip["left"]) == {"pytorch"}
    assert skip["quality_difference"].tolist() == pytest.approx([0.01, -0.01, 0.03])
    assert skip["update_ratio_difference"].tolist() == pytest.approx([0.0, -0.1, 0.1])
    assert skip["updates_difference"].tolist() == pytest.approx([0.0, -1.0, 1.0])
    assert skip["step_milliseconds_ratio"].tolist() == pytest.approx([0.5, 2.0, 1.0])


def test_summary_has_means_and_an_interval_from_three_pairs_on(comparison):
    skip = comparison.summary.set_index("label").loc["Skip LSTM, λ = 0.01"]
    assert skip["pairs"] == 3
    assert skip["quality_difference_mean"] == pytest.approx(0.01)
    # Three pairs: one resample in 27 repeats the lowest alone, so both bounds are the extremes.
    assert skip["quality_difference_low"] == pytest.approx(-0.01)
    assert skip["quality_difference_high"] == pytest.approx(0.03)
    assert skip["step_milliseconds_ratio_mean"] == pytest.approx(1.0)  # geometric: (0.5 · 2 · 1)^(1/3)
    plain = comparison.summary.set_index("label").loc["LSTM"]
    assert plain["pairs"] == 2
    assert np.isnan(plain["quality_difference_low"])


def test_different_checksums_are_not_a_pair(comparison):
    assert comparison.refused[["task", "cell", "reason"]].to_numpy().tolist() == [
        ["digits", "skip_gru", "different training batches"]
    ]
    assert not (comparison.pairs["cell"] == "skip_gru").any()


def test_trials_without_an_ok_partner_are_named(comparison):
    reasons = set(comparison.incomplete["reason"])
    assert reasons == {"pytorch: failed, tensorflow: diverged", "tensorflow: not in the sweep"}


def test_times_of_a_trial_alone_and_of_one_beside_others_are_not_compared():
    alone, beside = (
        ok_record(trial("adding", "lstm", framework), quality=0.1, step_milliseconds=2.0, beside=others)
        for framework, others in (("pytorch", 0), ("tensorflow", 1))
    )
    found = compare_frameworks(trials_frame([alone, beside]))
    assert found.pairs["step_milliseconds_ratio"].isna().all()
    assert found.pairs["quality_difference"].tolist() == [0.0], "what does not depend on time is"
    (line,) = found.conditions
    assert "nothing beside it and others beside it" in line
    both = compare_frameworks(trials_frame([alone.model_copy(update={"beside": 3}), beside]))
    assert both.pairs["step_milliseconds_ratio"].tolist() == [1.0]
    assert not both.conditions


def test_real_differences_of_the_machine_are_noted():
    left = ok_record(trial("adding", "lstm", "pytorch"), quality=0.1)
    other = ENVIRONMENT | {"threads": 4}
    right = ok_record(trial("adding", "lstm", "tensorflow"), quality=0.1, environment=other)
    found = compare_frameworks(trials_frame([left, right]))
    assert found.conditions == ("1 of 1 pairs ran with other numbers of threads (1 and 4)",)


def test_the_same_machine_needs_no_note(comparison):
    assert comparison.conditions == ()


def test_one_framework_alone_has_nothing_to_compare():
    alone = compare_frameworks(trials_frame([ok_record(trial("adding", "lstm", "pytorch"), quality=0.1)]))
    assert alone.pairs.empty
    assert readable_summary(alone).empty


def test_readable_summary_shows_signs_and_intervals(comparison):
    row = readable_summary(comparison).set_index("configuration").loc["Skip LSTM, λ = 0.01"]
    assert row["quality_difference"].startswith("+0.0100 [")
    assert row["step_milliseconds_ratio"].startswith("1 [")


def test_bootstrap_interval_is_the_normal_one_for_many_values():
    values = np.random.Generator(np.random.Philox(7)).normal(3.0, 2.0, 400)
    half = 1.96 * values.std() / np.sqrt(len(values))
    low, high = mean_interval(values) or (0.0, 0.0)
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_bootstrap_needs_three_values_and_repeats_itself():
    assert mean_interval(np.array([1.0, 2.0])) is None
    values = np.array([1.0, 2.0, 4.0])
    assert mean_interval(values) == mean_interval(values)
