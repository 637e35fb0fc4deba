"""The claim that pairs are equal: frameworks differ by no more than engines of one framework."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.plan import sweep as sweeps
from bench.report.comparison.comparisons import null_of
from bench.report.frames import trials_frame
from bench.report.paper.claims.pairs import paired_differences
from tests.bench.report.claimed import verdict
from tests.bench.report.stored import ok_record


def twins(*, across: float, null: float, engines: tuple[str, ...] = ("fast", "reference")) -> pd.DataFrame:
    """Table 2's GRU in both frameworks and engines: accuracies that differ by so much between them, seed by seed."""
    records = []
    for trial in sweeps.load("table2").trials:
        if trial.cell == "gru" and not trial.p_skip:
            for engine in engines:
                size = 1 + 0.1 * trial.seed
                quality = 0.9 + size * (across * (trial.framework == "pytorch") + null * (engine == "reference"))
                records.append(ok_record(trial.model_copy(update={"engine": engine}), quality=quality))
    return trials_frame(records)


@pytest.mark.parametrize(("across", "null", "expected"), [
    (0.010, 0.010, "reproduced"), (0.050, 0.010, "not reproduced"), (0.019, 0.010, "not reproduced"),
])  # fmt: skip
def test_pairs_equal_measures_frameworks_by_engines(across: float, null: float, expected: str):
    found = verdict("pairs-equal", twins(across=across, null=null))
    assert found.verdict == expected
    assert list(found.frameworks) == ["pytorch and tensorflow"]
    assert found.findings[0].rows == ("sequential MNIST, T = 784: GRU",)


def test_pairs_equal_needs_both_engines():
    assert verdict("pairs-equal", twins(across=0.01, null=0.0, engines=("fast",))).verdict == "not run"


def test_pairs_of_other_parameters_or_batches_are_no_pairs():
    frame = twins(across=0.01, null=0.01)
    frame["batches_checksum"] = frame["trial_id"]
    assert verdict("pairs-equal", frame).verdict == "not run"


def test_pairs_without_checksums_are_no_pairs():
    """Of nothing that is not told it is known that it is equal."""
    frame = twins(across=0.01, null=0.01).assign(parameters_checksum="", batches_checksum="")
    found = verdict("pairs-equal", frame)
    assert (found.verdict, found.findings[0].reason) == (
        "not run", "no seed has four trials that are pairs, both frameworks on both engines, with quality to compare"
    )  # fmt: skip


def test_what_frameworks_change_is_told_seed_by_seed():
    """In margins of accuracy, which are a hundredth."""
    frame = twins(across=0.01, null=0.004)
    (found,) = paired_differences(null_of(frame), frame, measure="quality")
    seeds = range(frame["seed"].nunique())
    assert sorted(map(abs, found.differences)) == pytest.approx([1.0 * (1 + 0.1 * seed) for seed in seeds])
    assert sorted(map(abs, found.null)) == pytest.approx([0.4 * (1 + 0.1 * seed) for seed in seeds])
    assert found.asked == len(found.null)


def test_native_layers_beside_the_engines_change_no_claim():
    """Whatever they come to: a claim and the comparison count the same trials."""
    frame = twins(across=0.01, null=0.01)
    native = frame[frame["engine"] == "fast"].assign(engine="native", quality=0.1 * frame["seed"])
    native["pair_id"] += ", native"
    more = native.assign(seed=native["seed"] + 10, pair_id=native["pair_id"] + ", more seeds")
    beside = pd.concat([frame, native, more], ignore_index=True)
    assert list(paired_differences(null_of(beside), beside, measure="quality")) == list(
        paired_differences(null_of(frame), frame, measure="quality")
    )


def test_seeds_that_lack_a_pair_are_told():
    frame = twins(across=0.01, null=0.01)
    gone = (frame["seed"] == 2) & (frame["framework"] == "pytorch") & (frame["engine"] == "fast")
    found = verdict("pairs-equal", frame.assign(status=frame["status"].mask(gone, "failed")))
    assert found.verdict == "inconclusive"
    assert found.findings[0].reason == "3 seeds, 4 needed; 1 of 4 seeds lack one of the four pairs"


def test_a_pair_without_a_number_decides_nothing():
    frame = twins(across=0.01, null=0.01)
    gone = (frame["seed"] == 2) & (frame["framework"] == "pytorch") & (frame["engine"] == "fast")
    found = verdict("pairs-equal", frame.assign(quality=frame["quality"].mask(gone, np.nan)))
    assert found.verdict == "inconclusive"
    assert found.findings[0].reason == "a pair has no finite quality"


def test_the_updates_of_a_plain_cell_are_given_and_compared_with_nothing():
    frame = twins(across=0.01, null=0.01)
    assert list(paired_differences(null_of(frame), frame, measure="update_ratio")) == []


def test_pairs_equal_of_one_seed_is_undecided():
    """A seed in two frameworks and two engines has two pairs and two null pairs, which are one number each."""
    frame = twins(across=0.01, null=0.01)
    found = verdict("pairs-equal", frame[frame["seed"] < 1])
    assert found.verdict == "inconclusive"
    assert found.findings[0].reason == "1 seed, 4 needed"
