"""Intervals and tests of paired differences: known answers, and on simulated pairs the error rates they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.report.comparison.intervals import difference_p, equivalence_p, mean_interval
from bench.report.comparison.typical_values import ALL_SUBSETS_OF, size_ratio
from bench.report.comparison.verdicts import holm

SETS = 20_000
PAIRS = 5
# Four standard errors of a share of 5 % among so many sets.
CLOSE = 4 * (0.05 * 0.95 / SETS) ** 0.5


def simulated(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(1)).normal(size=shape)


def test_the_interval_is_student_s() -> None:
    """Differences 1 … 5: mean 3, standard error √0.5, t(4) = 2.776."""
    low, high = mean_interval(np.arange(1.0, 6.0))
    assert (low, high) == (pytest.approx(3 - 1.9632, abs=1e-4), pytest.approx(3 + 1.9632, abs=1e-4))


@pytest.mark.parametrize("pairs", [5, 8, 20])
def test_intervals_cover_the_mean_in_95_of_100_sets(pairs: int) -> None:
    low, high = mean_interval(0.3 + 2 * simulated(SETS, pairs))
    assert ((low < 0.3) & (high > 0.3)).mean() == pytest.approx(0.95, abs=CLOSE)


def test_intervals_of_ratios_cover_in_logarithms() -> None:
    """Step times are near log-normal: the interval of the mean logarithm covers that of the true ratio."""
    ratios = 1.7 * np.exp(0.4 * simulated(SETS, PAIRS))
    low, high = mean_interval(np.log(ratios))
    assert ((np.exp(low) < 1.7) & (np.exp(high) > 1.7)).mean() == pytest.approx(0.95, abs=CLOSE)


@pytest.mark.parametrize("draw", ["uniform", "laplace"])
def test_coverage_holds_roughly_where_differences_are_not_normal(draw: str) -> None:
    values = getattr(np.random.Generator(np.random.Philox(2)), draw)(-1, 1, (SETS, PAIRS))
    truth = 0.0 if draw == "uniform" else -1.0
    low, high = mean_interval(values)
    assert 0.92 < ((low < truth) & (high > truth)).mean() < 0.98


def test_the_paired_t_test_is_that_of_scipy_and_false_in_5_of_100_sets() -> None:
    values = simulated(SETS, PAIRS)
    p = difference_p(values)
    assert p[:100] == pytest.approx(stats.ttest_1samp(values[:100], 0, axis=1).pvalue)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=CLOSE)


@pytest.mark.parametrize("side", [-1, 1])
def test_what_differs_by_the_margin_is_called_equivalent_in_at_most_5_of_100_sets(side: int) -> None:
    p = equivalence_p(side * 1.0 + 0.3 * simulated(SETS, PAIRS), margin=1.0)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=CLOSE)


def test_what_differs_by_nothing_is_found_equivalent() -> None:
    assert (equivalence_p(0.2 * simulated(SETS, PAIRS), margin=1.0) < 0.05).mean() > 0.99


@pytest.mark.parametrize(
    ("differences", "different", "equivalent"),
    [
        ([0.0] * 5, 1.0, 0.0),  # all pairs equal
        ([0.4] * 5, 0.0, 0.0),  # a difference without spread, within the margin
        ([2.0] * 5, 0.0, 1.0),  # and beyond it
        ([0.7225 - 0.72, 0.9 - 0.8975, 0.5025 - 0.5, 0.1025 - 0.1, 0.3025 - 0.3], 0.0, 0.0),  # equal but for rounding
    ],
)
def test_without_spread_the_answer_is_certain(differences: list[float], different: float, equivalent: float) -> None:
    values = np.array(differences)
    assert difference_p(values) == different
    assert equivalence_p(values, margin=1.0) == equivalent
    assert mean_interval(values) == (pytest.approx(values.mean()), pytest.approx(values.mean()))


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    """Four tests: 0.01 · 4, 0.02 · 3, then 0.024 · 2 raised to what stood before it."""
    assert holm(np.array([0.02, 0.01, 0.5, 0.024])).tolist() == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm(np.array([])).tolist() == []


def test_a_table_of_true_hypotheses_is_wrong_anywhere_in_at_most_5_of_100_tables() -> None:
    p = difference_p(simulated(4_000, 10, PAIRS))
    wrong = np.array([(holm(row) < 0.05).any() for row in p])
    assert wrong.mean() < 0.05 + 4 * (0.05 * 0.95 / 4_000) ** 0.5
    assert (p < 0.05).any(axis=1).mean() > 0.3  # without a correction


def heavy_tailed(*shape: int) -> np.ndarray:
    """Most pairs agree to a thousandth, some part: what trajectories do."""
    draw = np.random.Generator(np.random.Philox(3))
    return np.where(draw.random(shape) < 0.4, 1.0, 1e-3) * draw.normal(size=shape)


@pytest.mark.parametrize("draw", [simulated, heavy_tailed])
@pytest.mark.parametrize("units", [6, 10, 40])
def test_the_ratio_of_sizes_is_covered_whatever_the_distribution(draw, units: int) -> None:
    sets = 1_000 if units <= ALL_SUBSETS_OF else 200
    found = [size_ratio(3 * a, b) for a, b in draw(sets, 2, units)]
    assert np.mean([each.low <= 3 <= each.high for each in found]) > 0.95 - 4 * (0.05 * 0.95 / sets) ** 0.5


def test_many_units_bound_the_ratio_closely_and_the_same_every_time() -> None:
    a, b = simulated(2, 200)
    found = size_ratio(3 * a, b)
    assert 2 < found.low < found.ratio < found.high < 4
    assert found == size_ratio(3 * a, b)


def test_few_or_silent_units_give_no_bound() -> None:
    few = size_ratio(np.ones(5), np.ones(5))
    assert (few.low, few.high) == (0.0, np.inf)
    silent = size_ratio(np.zeros(8), np.zeros(8))
    assert np.isnan(silent.ratio)
    assert (silent.low, silent.high) == (0.0, np.inf)


def test_engines_that_never_differ_make_any_difference_of_frameworks_larger() -> None:
    found = size_ratio(np.ones(8), np.zeros(8))
    assert (found.ratio, found.low, found.high) == (np.inf, np.inf, np.inf)
