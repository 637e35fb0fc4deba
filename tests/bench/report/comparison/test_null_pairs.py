"""Frameworks beside null pairs: two engines of one framework, from the same seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.report.comparison.comparisons import Comparisons, compare_all
from bench.report.comparison.parting import parting_step
from bench.report.comparison.tables import null_table
from bench.report.comparison.words import against_null
from bench.report.figures.null_pairs import frameworks_beside_engines
from bench.report.frames import trials_frame
from tests.bench.report.stored import ok_record, trial

FRAMEWORKS, ENGINES = ("pytorch", "tensorflow"), ("fast", "reference")


def four_ways(*, seeds: int, frameworks: float, engines: float) -> Comparisons:
    """Accuracies of every framework on every engine: chance differences of known sizes, in accuracy."""
    draw = np.random.Generator(np.random.Philox(8))
    records = []
    for seed in range(seeds):
        by_framework, by_engine = frameworks * draw.normal(size=2), engines * draw.normal(size=2)
        for one, framework in enumerate(FRAMEWORKS):
            for other, engine in enumerate(ENGINES):
                of = trial("digits", "skip_gru", framework, seed=seed).model_copy(update={"engine": engine})
                quality = 0.5 + by_framework[one] + by_engine[other]
                records.append(ok_record(of, quality=quality, implementation=engine))
    return compare_all(trials_frame(records))


def test_a_null_pair_differs_in_the_engine_alone():
    compared = four_ways(seeds=2, frameworks=0.0, engines=0.1)
    assert compared.engines.pairs[["framework", "left", "right", "seed"]].to_numpy().tolist() == [
        ["pytorch", "fast", "reference", 0], ["pytorch", "fast", "reference", 1],
        ["tensorflow", "fast", "reference", 0], ["tensorflow", "fast", "reference", 1],
    ]  # fmt: skip
    assert compared.frameworks.pairs["engine"].tolist() == ["fast", "fast", "reference", "reference"]
    assert compared.frameworks.pairs["quality_difference"].tolist() == pytest.approx([0] * 4)
    assert set(compared.engines.pairs["configuration"]) == {"Skip GRU"}  # neither framework nor engine


def test_of_each_seed_the_mean_differences_are_counted_in_margins():
    compared = four_ways(seeds=1, frameworks=0.1, engines=0.2)
    unit = compared.null.units.set_index("measure").loc["quality"]
    pairs = compared.frameworks.pairs
    assert unit["frameworks"] == pytest.approx(pairs["quality_difference"].mean() / 0.01)
    assert unit["engines"] == pytest.approx(compared.engines.pairs["quality_difference"].mean() / 0.01)


def test_native_layers_beside_the_engines_change_nothing():
    """Plain cells of both frameworks, on three engines: what two of them say of each seed stays."""

    def compared(*engines):
        records = [
            ok_record(
                trial("digits", "lstm", framework, seed=seed).model_copy(update={"engine": engine}),
                quality=0.5 + 0.01 * seed * len(framework) + 0.02 * len(engine),
            )
            for framework in FRAMEWORKS
            for engine in engines
            for seed in (0, 1)
        ]
        return compare_all(trials_frame(records))

    found, without = compared(*ENGINES, "native"), compared(*ENGINES)
    pd.testing.assert_frame_equal(found.null.units, without.null.units)
    pd.testing.assert_frame_equal(found.null.sizes, without.null.sizes)
    assert len(without.null.units) == 2
    drawn = [frameworks_beside_engines(each.frameworks, each.engines)[0].data for each in (found, without)]
    pd.testing.assert_frame_equal(*drawn)
    assert len(drawn[0]) == 8


@pytest.mark.parametrize(
    ("seeds", "frameworks", "engines", "sentence"),
    [
        (40, 0.1, 0.1, "Quality: the frameworks differ by no more than two engines of one framework do"),
        (40, 0.3, 0.1, "Quality: the frameworks differ by more than two engines of one framework do"),
        (40, 0.1, 0.3, "Quality: the frameworks differ by less than two engines of one framework do"),
        (7, 0.1, 0.1, "Quality: undecided whether the frameworks differ by more"),
        (5, 0.1, 0.1, "Quality: undecided whether the frameworks differ by more"),
        (7, 0.0, 0.0, "Quality: neither frameworks nor engines differ, over 7 seeds of configurations."),
    ],
)
def test_the_sentence_says_which_differ_more(seeds: int, frameworks: float, engines: float, sentence: str):
    found = against_null(four_ways(seeds=seeds, frameworks=frameworks, engines=engines).null)
    assert found[0].startswith(sentence)
    assert found[1].startswith("Update ratio: neither frameworks nor engines differ")


def test_without_a_second_engine_it_says_what_to_run():
    frame = trials_frame([ok_record(trial("digits", "gru", name), quality=0.5) for name in FRAMEWORKS])
    (sentence,) = against_null(compare_all(frame).null)
    assert "python run_all.py frameworks" in sentence


def test_one_framework_on_two_engines_has_null_pairs_and_no_test():
    records = [
        ok_record(trial("digits", "gru", "pytorch", seed=seed).model_copy(update={"engine": engine}), quality=0.5)
        for seed in range(6)
        for engine in ENGINES
    ]
    compared = compare_all(trials_frame(records))
    assert null_table(compared.null)["engines differ by"].tolist() == ["0 (6)"]
    assert against_null(compared.null) == [
        "No seed has all four trials, both frameworks on both engines, so the two are not compared."
    ]
    assert frameworks_beside_engines(compared.frameworks, compared.engines) == []


def test_a_seed_of_which_one_of_the_four_is_missing_counts_for_nothing():
    records = [
        ok_record(trial("digits", "gru", framework, seed=seed).model_copy(update={"engine": engine}), quality=0.5)
        for seed in range(2)
        for framework in FRAMEWORKS
        for engine in ENGINES
    ]
    assert compare_all(trials_frame(records[:-1])).null.units["seed"].tolist() == [0]


def test_sizes_are_root_mean_squares_of_paired_differences():
    compared = four_ways(seeds=6, frameworks=0.1, engines=0.2)
    sizes = compared.null.sizes.set_index("measure").loc["quality"]
    squares = compared.engines.pairs["quality_difference"] ** 2
    assert sizes["engines_size"] == pytest.approx(squares.mean() ** 0.5)
    assert (sizes["engines_pairs"], sizes["frameworks_pairs"]) == (12, 12)


def curve(*losses: float) -> pd.DataFrame:
    return pd.DataFrame({"step": range(10, 10 * len(losses) + 1, 10), "train_loss": losses, "loss": 1.0})


def test_pairs_part_at_the_first_evaluation_that_differs_by_more_than_a_thousandth():
    assert parting_step(curve(1.0, 0.5, 0.2), curve(1.0005, 0.5005, 0.2001)) == np.inf
    assert parting_step(curve(1.0, 0.5, 0.2), curve(1.0005, 0.5006, 0.2)) == 20
    assert parting_step(curve(1.0, 0.5), curve(1.0, 0.5).assign(loss=[1.0, 1.1])) == 20
    assert np.isnan(parting_step(curve(1.0), pd.DataFrame({"step": [7], "train_loss": [1.0]})))
    assert np.isnan(parting_step(curve(1.0).drop(columns=["train_loss", "loss"]), curve(1.0)))


def test_how_many_pairs_part_stands_in_the_table():
    records = [
        ok_record(trial("digits", "gru", framework, seed=seed).model_copy(update={"engine": engine}), quality=0.5)
        for seed in range(2)
        for framework in FRAMEWORKS
        for engine in ENGINES
    ]
    frame = trials_frame(records)
    curves = pd.concat(
        curve(1.0, 0.5 if row["engine"] == "fast" or row["seed"] else 0.6).assign(trial_id=row["trial_id"])
        for row in frame.to_dict("records")
    )
    (row,) = null_table(compare_all(frame, curves=curves).null).to_dict("records")
    assert row["frameworks part"] == "0 of 4"
    assert row["engines part"] == "2 of 4, step 20"

    # A pair with a curve gone says nothing of parting, and one without a quality does all the same.
    first = frame["seed"] == 0
    lost = frame.loc[first & (frame["framework"] == "pytorch") & (frame["engine"] == "fast"), "trial_id"]
    nan = frame.assign(quality=frame["quality"].mask(~first, np.nan))
    (row,) = null_table(compare_all(nan, curves=curves[~curves["trial_id"].isin(lost)]).null).to_dict("records")
    assert (row["engines part"], row["engines differ by"]) == ("1 of 3, step 20", "0 (2)")
    assert row["frameworks part"] == "0 of 3"
