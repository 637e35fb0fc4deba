"""Paired differences by hand: what is averaged on which scale, and everything that is not compared named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.report.comparison.left_out import not_numbers, nothing_to_compare, uncompared, unlike
from bench.report.comparison.paired_differences import Comparison, compare
from bench.report.comparison.tables import cost_table, outcome_table
from bench.report.comparison.words import agreement
from bench.report.frames import read_records, sweep_frame, trials_frame
from tests.bench.report.stored import ENVIRONMENT, ok_record, trial

COSTS = {"inference_milliseconds": 2.0, "inference_milliseconds_batch_1": 1.0}


@pytest.fixture(scope="module")
def comparison(stored):
    return compare(sweep_frame(read_records("stored", results=stored.results)), apart="framework")


def pairs_of(
    task: str, cell: str, left: list[dict[str, Any]], right: list[dict[str, Any]]
) -> tuple[pd.DataFrame, Comparison]:
    """Trials of PyTorch and of TensorFlow by seed, compared."""
    records = [
        ok_record(trial(task, cell, framework, seed=seed), **({"quality": 0.5, "peak_memory_bytes": 100} | COSTS | of))
        for framework, side in (("pytorch", left), ("tensorflow", right))
        for seed, of in enumerate(side)
    ]
    frame = trials_frame(records)
    return frame, compare(frame, apart="framework")


def row_of(comparison: Comparison, measure: str) -> dict[str, Any]:
    (row,) = comparison.summary[comparison.summary["measure"] == measure].to_dict("records")
    return row


def test_differences_are_second_minus_first_framework(comparison):
    skip = comparison.pairs[comparison.pairs["cell"] == "skip_lstm"]
    assert set(skip["left"]) == {"pytorch"}
    assert skip["update_ratio_difference"].tolist() == pytest.approx([0.0, -0.1, 0.1])
    assert skip["updates_difference"].tolist() == pytest.approx([0.0, -1.0, 1.0])


def test_errors_times_and_flops_are_ratios(comparison):
    skip = comparison.pairs[comparison.pairs["cell"] == "skip_lstm"]
    assert skip["quality_ratio"].tolist() == pytest.approx([1.1, 0.95, 1.1])
    assert skip["flops_per_sequence_ratio"].tolist() == pytest.approx([1.0, 0.8, 1.2])
    assert skip["step_milliseconds_ratio"].tolist() == pytest.approx([0.5, 2.0, 1.0])


def test_accuracies_are_differences():
    _, found = pairs_of("digits", "lstm", [{"quality": 0.90}], [{"quality": 0.93}])
    assert found.pairs["quality_difference"].tolist() == pytest.approx([0.03])
    assert row_of(found, "quality")["scale"] == "difference"


def test_below_five_pairs_the_pairs_stand_in_the_table_without_interval_or_verdict(comparison):
    skip = outcome_table(comparison).set_index("configuration").loc["Skip LSTM, λ = 0.01"]
    assert (skip["pairs"], skip["quality_difference"]) == ("3", "×1.10; ×0.950; ×1.10")
    assert skip["update_ratio_difference"] == "0; −10; +10"
    assert (skip["quality_verdict"], skip["update_ratio_verdict"]) == ("undecided", "undecided")
    of = comparison.summary[comparison.summary["configuration"] == "Skip LSTM, λ = 0.01"].set_index("measure")
    assert of["low"].isna().all()
    assert of.loc["step_milliseconds", "mean"] == pytest.approx(1.0)  # geometric: (0.5 · 2 · 1)^(1/3)


def test_from_five_pairs_on_a_ratio_has_the_interval_of_its_logarithms():
    ratios = np.array([1.0, 1.1, 1.2, 1.3, 1.4])
    _, found = pairs_of("adding", "lstm", [{}] * 5, [{"milliseconds": 8.0 * ratio} for ratio in ratios])
    row = row_of(found, "step_milliseconds")
    logarithms = np.log(ratios)
    reach = 2.7764 * logarithms.std(ddof=1) / 5**0.5
    assert (row["low"], row["high"]) == (
        pytest.approx(np.exp(logarithms.mean() - reach), rel=1e-4),
        pytest.approx(np.exp(logarithms.mean() + reach), rel=1e-4),
    )
    assert np.isnan(row["margin"])  # how much longer something takes is no matter of equivalence
    assert row["verdict"] == ""


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ([0.500, 0.501, 0.499, 0.500, 0.501], "equivalent"),
        ([0.504, 0.505, 0.504, 0.505, 0.504], "equivalent"),  # surely not 0, and surely within a point
        ([0.55, 0.56, 0.54, 0.55, 0.56], "different"),
        ([0.50, 0.56, 0.44, 0.52, 0.47], "undecided"),
        ([0.5] * 5, "equivalent"),  # without spread
        ([0.6] * 5, "different"),
    ],
)
def test_verdicts_of_accuracies(right: list[float], verdict: str):
    _, found = pairs_of("digits", "skip_gru", [{"quality": 0.5}] * 5, [{"quality": value} for value in right])
    row = row_of(found, "quality")
    assert row["verdict"] == verdict
    assert not np.isnan(row["p_equivalent_holm"])


def test_learned_updates_are_tested_and_given_ones_are_not():
    for cell, verdict in (("skip_gru", "equivalent"), ("gru", "")):
        _, found = pairs_of("digits", cell, [{}] * 5, [{}] * 5)
        assert row_of(found, "update_ratio")["verdict"] == verdict


def test_verdicts_are_corrected_over_the_table():
    """One configuration whose paired t-test gives p = 0.03 is different alone, and undecided among three."""
    shifts = np.array([0.02, 0.09, 0.05, 0.11, 0.03])
    records = [
        ok_record(trial("digits", cell, framework, seed=seed), quality=0.5 + (shifts[seed] if right else 0))
        for cell in ("lstm", "gru", "skip_gru")
        for framework, right in (("pytorch", False), ("tensorflow", True))
        for seed in range(5)
    ]
    alone = compare(trials_frame(records[:10]), apart="framework").summary
    assert alone[alone["measure"] == "quality"]["verdict"].tolist() == ["different"]
    table = compare(trials_frame(records), apart="framework").summary
    assert set(table[table["measure"] == "quality"]["verdict"]) == {"undecided"}
    assert table["p_different"].notna().sum() == 4  # three qualities, one learned update ratio


def test_different_checksums_are_not_a_pair(comparison):
    assert comparison.refused[["task", "cell", "reason"]].to_numpy().tolist() == [
        ["digits", "skip_gru", "different training batches"]
    ]
    assert not (comparison.pairs["cell"] == "skip_gru").any()


def test_records_without_checksums_are_not_a_pair():
    of = {"parameters_checksum": "", "batches_checksum": ""}
    frame, found = pairs_of("adding", "lstm", [of], [of])
    assert found.pairs.empty
    assert found.refused["reason"].tolist() == ["unknown checksums"]
    assert nothing_to_compare(frame, found).startswith("No two ok trials form a pair")


def test_trials_without_an_ok_partner_are_named(comparison):
    assert uncompared(comparison.incomplete) == [
        "adding problem, T = 10, LSTM, fast, seed 2 (PyTorch: failed, TensorFlow: diverged)",
        "sequential digits, T = 64, LSTM, fast, seed 0 (TensorFlow: not in the sweep)",
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"environment": ENVIRONMENT | {"threads": 4}}, "numbers of threads (1 and 4)"),
        ({"threads": 4}, "numbers of threads in use (not told and 4)"),
        ({"environment": ENVIRONMENT | {"processor": "another"}}, "processors (a processor and another)"),
        ({"workers": 2}, "numbers of trials at a time (not told and 2)"),
    ],
)
def test_times_and_memory_of_unlike_conditions_are_not_compared_but_quality_is(more: dict[str, Any], words: str):
    _, found = pairs_of("adding", "lstm", [{}, {}], [{}, more])
    assert unlike(found) == [
        f"Times and memory of 1 of 2 pairs are not compared: the two sides ran with other {words} (LSTM, seed 1)."
    ]
    for measure in ("step_milliseconds", "inference_milliseconds", "peak_memory_bytes"):
        assert row_of(found, measure)["pairs"] == 1
    assert row_of(found, "quality")["pairs"] == 2


@pytest.mark.parametrize(
    ("left", "right", "compared"),
    [
        ({"beside": 0}, {"beside": 0}, True),
        ({"beside": 0}, {"beside": 1}, False),
        ({"beside": 3}, {"beside": 1}, False),
        ({"beside": 3}, {"beside": 3}, True),
        ({"beside": 3}, {}, False),
        ({"processor_load": 0.1}, {"processor_load": 3.9}, True),  # of two cores: less than one process each, and 1.95
        ({"processor_load": 0.1}, {"processor_load": 4.1}, False),
        ({"processor_load": 20.0}, {"processor_load": 39.0}, True),
        ({"processor_load": 20.0}, {"processor_load": 41.0}, False),
        ({"processor_load": 0.1}, {}, False),
    ],
)
def test_times_are_compared_beside_as_many_others_on_a_machine_about_as_busy(
    left: dict[str, Any], right: dict[str, Any], compared: bool
):
    _, found = pairs_of("adding", "lstm", [left, {}], [right, {}])
    assert row_of(found, "step_milliseconds")["pairs"] == 1 + compared
    told = "Times and memory of 1 of 2 pairs are not compared: the two sides ran with other load (LSTM, seed 0)."
    assert unlike(found) == ([] if compared else [told])


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (0, "takes 1 times that of PyTorch (median of 3 pairs)."),
        (1, "takes 1 times that of PyTorch (median of 2 pairs; left out: 1 beside different load)."),
        (2, "times are not summed up, since the trials of 2 of 3 pairs ran beside different load"),
        (3, "times are not compared, since the trials of 3 of 3 pairs ran beside different load"),
    ],
)
def test_a_summary_of_times_takes_more_than_half_of_the_pairs(apart: int, words: str):
    sides = [{"beside": 0}] * 3, [{"beside": 1}] * apart + [{"beside": 0}] * (3 - apart)
    _, found = pairs_of("adding", "lstm", *sides)
    (line,) = [line for line in agreement(found) if line.startswith("Engine fast")]
    assert words in line
    assert line.endswith("python -m bench speed.") == (apart > 1)


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (1, "takes 2 times that of PyTorch (median of 2 pairs; left out: 1 under unlike conditions)."),
        (2, "times are not summed up, since the trials of 2 of 3 pairs ran under unlike conditions."),
        (3, "times are not compared, since the trials of 3 of 3 pairs ran under unlike conditions."),
    ],
)
def test_a_summary_of_times_leaves_out_other_machines_as_it_does_other_load(apart: int, words: str):
    """Of the first pair load differs too, where more than one is set apart."""
    elsewhere = {"environment": ENVIRONMENT | {"processor": "another"}}
    right = [elsewhere | ({"beside": 1} if apart > 1 and not seed else {}) for seed in range(apart)]
    right += [{"milliseconds": 16.0}] * (3 - apart)
    _, found = pairs_of("adding", "lstm", [{}] * 3, right)
    (line,) = [line for line in agreement(found) if line.startswith("Engine fast")]
    assert words in line


def test_memory_is_compared_as_it_is_shown():
    """Two machines of a kind, a page of memory apart."""
    size = ENVIRONMENT["memory_bytes"]
    _, found = pairs_of("adding", "lstm", [{}], [{"environment": ENVIRONMENT | {"memory_bytes": size + 4096}}])
    assert unlike(found) == []
    _, found = pairs_of("adding", "lstm", [{}], [{"environment": ENVIRONMENT | {"memory_bytes": 2 * size}}])
    assert "the two sides ran with other memory (8 GiB and 16 GiB)" in unlike(found)[0]


def test_a_trial_that_went_on_elsewhere_is_like_no_other_in_its_times():
    def stretches(*cores: int) -> dict[str, object]:
        parts = [
            {"start_step": 50 * place, "end_step": 50 * (place + 1), "seconds": 1.0}
            | {"environment": ENVIRONMENT | {"cores": count}}
            for place, count in enumerate(cores)
        ]
        return {"stretches": parts, "environment": parts[-1]["environment"]}

    _, found = pairs_of("adding", "lstm", [stretches(4)], [stretches(4, 4)])
    assert unlike(found) == []
    _, found = pairs_of("adding", "lstm", [stretches(4)], [stretches(16, 4)])
    assert "machines on the way (one and 16 to step 50, 4 to step 100)" in unlike(found)[0]


def test_the_same_machine_needs_no_note(comparison):
    assert unlike(comparison) == []


def test_a_quality_that_is_no_number_is_named_and_left_out():
    _, found = pairs_of("digits", "lstm", [{"quality": 0.5}] * 2, [{"quality": float("nan")}, {"quality": 0.6}])
    assert not_numbers(found) == ["sequential digits, T = 64, LSTM: quality left out of seed 0: not a finite number."]
    assert row_of(found, "quality")["points"] == "0.1"
    _, zero = pairs_of("adding", "lstm", [{"quality": 0.0}], [{"quality": 0.1}])
    assert not_numbers(zero) == ["adding problem, T = 10, LSTM: quality left out of seed 0: not a number above 0."]
    assert outcome_table(zero)["quality_difference"].tolist() == ["–"]


def test_nothing_to_compare_is_a_sentence():
    frame, found = pairs_of("digits", "lstm", [{}], [])
    assert nothing_to_compare(frame, found) == "All trials are of PyTorch, so there is nothing to compare."
    assert outcome_table(found).empty
    assert cost_table(found).empty
    apart = trials_frame([ok_record(trial("digits", "lstm", name, seed=seed), quality=0.5)
                          for seed, name in enumerate(("pytorch", "tensorflow"))])  # fmt: skip
    assert nothing_to_compare(apart, compare(apart, apart="framework")) == (
        "The frameworks have no seed in common, so no two trials form a pair."
    )
    failed = trials_frame([], missing=[trial("digits", "lstm", name) for name in ("pytorch", "tensorflow")])
    assert nothing_to_compare(failed, compare(failed, apart="framework")).startswith("No trial ended ok")


def test_a_cost_that_fewer_pairs_have_than_its_row_says_of_how_many_it_is():
    """Ten pairs, of which the last five have no time of inference, as older records have none."""
    left = [{"inference_milliseconds": 2.0 if seed < 5 else None} for seed in range(10)]
    right = [{"milliseconds": 16.0, "inference_milliseconds": 4.0}] * 10
    _, found = pairs_of("adding", "lstm", left, right)
    (row,) = cost_table(found).to_dict("records")
    assert (row["pairs"], row["training step"]) == ("10", "×2 [2, 2]")
    assert (row["inference"], row["step as reported"]) == ("×2 [2, 2] (5 of 10)", "–")


def test_a_step_that_fewer_pairs_have_than_another_cost_says_so_too():
    _, found = pairs_of("adding", "lstm", [{}, {"step_milliseconds": None}], [{}, {}])
    (row,) = cost_table(found).to_dict("records")
    assert (row["pairs"], row["training step"], row["inference"]) == ("2", "×1 (1 of 2)", "×1; ×1")


def test_a_quality_that_fewer_pairs_have_than_the_updates_says_of_how_many_it_is():
    """An error of exactly 0 has no ratio; the updates beside it rest on all six pairs."""
    qualities = [{"quality": 0.0 if seed < 2 else 0.1} for seed in range(6)]
    _, found = pairs_of("adding", "skip_lstm", qualities, qualities)
    (row,) = outcome_table(found).to_dict("records")
    assert (row["pairs"], row["quality_difference"]) == ("6", "×1; ×1; ×1; ×1 (4 of 6)")
    assert row["update_ratio_difference"] == "0 [0, 0]"


def test_every_time_names_what_ran():
    kernels = {"implementation": "kernels"}
    _, found = pairs_of("adding", "lstm", [kernels], [{"implementation": "rounds"}])
    (row,) = cost_table(found).to_dict("records")
    assert row["engine"] == "fast: rounds / kernels"
    assert (row["training step"], row["inference"], row["memory"]) == ("×1", "×1", "×1")


def test_a_step_that_compiles_is_not_compared_with_one_that_reads_what_was_compiled_from_disk():
    _, found = pairs_of("adding", "lstm", [{"compile_seconds": 17.0}], [{"compile_seconds": 1.0}])
    assert "compile_seconds" not in set(found.summary["measure"])
    assert not [name for name in found.pairs if name.startswith("compile_seconds")]
    assert "first step" not in cost_table(found)
