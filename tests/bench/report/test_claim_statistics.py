"""The statistics of the claims, on data whose answer is known without them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from bench.report.paper.claims import statistics
from bench.report.paper.claims.evidence import Contrast, against
from bench.report.paper.claims.samples import first_reached, rank_correlation


def sample(*values: float, first: int = 0) -> dict[int, float]:
    return dict(enumerate(values, start=first))


ZEROS = sample(0, 0, 0, 0)
# Differences 1, 2, 3, 4: mean 2.5, deviation 1.291, t = 3.873 with 3 degrees of freedom, one-sided p = 0.01523.
RISING, P_RISING = sample(1, 2, 3, 4), 0.01523


def test_a_paired_contrast_is_student_s_t_on_the_differences_of_common_seeds():
    contrast = Contrast(sample(11, 22, 33, 44, 99), sample(10, 20, 30, 40))
    assert (contrast.paired, contrast.n, contrast.mean) == (True, 4, 2.5)
    assert contrast.above(0) == pytest.approx(P_RISING, abs=1e-5)
    assert contrast.below(0) == pytest.approx(1 - P_RISING, abs=1e-5)
    half = 3.18245 * 1.29099 / 2  # the 97.5 % point of t with 3 degrees of freedom
    assert contrast.interval() == pytest.approx((2.5 - half, 2.5 + half), abs=1e-4)


def test_without_a_common_seed_it_is_welch_s():
    """Equal sizes and variances: t = 10 / sqrt(2 · (5/3) / 4) = 10.954 with 6 degrees of freedom."""
    contrast = Contrast(sample(11, 12, 13, 14), sample(1, 2, 3, 4, first=4))
    assert (contrast.paired, contrast.n) == (False, 4)
    half = 2.44691 * math.sqrt(2 * (5 / 3) / 4)
    assert contrast.interval() == pytest.approx((10 - half, 10 + half), abs=1e-4)
    assert contrast.above(0) < 1e-4


@pytest.mark.parametrize(("value", "above", "below"), [(1.0, 0.0, 1.0), (-1.0, 1.0, 0.0), (0.0, 1.0, 1.0)])
def test_equal_differences_leave_no_doubt_and_none_to_a_tie(value: float, above: float, below: float):
    contrast = against(sample(*[value] * 4), 0.0)
    assert (contrast.above(0), contrast.below(0)) == (above, below)
    assert contrast.interval() == (value, value)


def test_rounding_is_no_spread():
    """0.1 + 0.2 is not 0.3 in floating point, and a t test would take the gap for evidence."""
    contrast = Contrast(sample(0.1 + 0.2, 0.3, 0.3), sample(0.3, 0.3, 0.3))
    assert (contrast.above(0), contrast.below(0)) == (1.0, 1.0)


@pytest.mark.parametrize(("values", "shown", "refuted"), [((1, 1, 1, 1), 0, 1), ((1, 1, 0, 1), 1, 0)])
def test_every_seed_counts_and_one_refutes(values: Sequence[float], shown: float, refuted: float):
    found = statistics.every(sample(*values), wanted=True)
    assert (found.estimate, found.shown, found.refuted, found.n) == (sum(values) / 4, shown, refuted, 4)
    opposite = statistics.every(sample(*[1 - value for value in values]), wanted=False)
    assert (opposite.shown, opposite.refuted) == (shown, refuted)


def test_above_and_below_are_each_other_s_mirror():
    above, below = statistics.above(RISING, ZEROS), statistics.below(ZEROS, RISING)
    assert above.shown == below.shown == pytest.approx(P_RISING, abs=1e-5)
    assert above.refuted == below.refuted == pytest.approx(1 - P_RISING, abs=1e-5)
    assert (above.estimate, below.estimate) == (2.5, -2.5)
    assert statistics.above(RISING, ZEROS, margin=2.5).shown == pytest.approx(0.5)


def test_errors_are_compared_by_their_logarithms():
    """Ratios e^1 to e^4 below."""
    found = statistics.errors_below(sample(1, 1, 1, 1), sample(*np.exp([1, 2, 3, 4])))
    assert found.shown == pytest.approx(P_RISING, abs=1e-5)
    assert found.estimate == pytest.approx(math.exp(-2.5))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.estimate < found.high < 1


def test_a_share_is_tested_on_what_is_left_of_it():
    """0.5 · reference less the sample is 1, 2, 3, 4."""
    found = statistics.share_below(sample(4, 3, 2, 1), sample(10, 10, 10, 10), share=0.5)
    assert found.shown == pytest.approx(P_RISING, abs=1e-5)
    assert found.estimate == pytest.approx(0.25)


def test_using_every_sample_refutes_that_fewer_are_used():
    ones = sample(1.0, 1.0, 1.0, 1.0)
    assert statistics.below_value(ones, value=1.0).refuted == 0
    assert statistics.share_below(ones, ones, share=1.0).refuted == 0
    assert statistics.below_value(sample(0.8, 0.9, 0.8, 0.9), value=1.0).shown < 0.05


def test_above_a_value():
    assert statistics.above_value(RISING, value=0).shown == pytest.approx(P_RISING, abs=1e-5)
    assert statistics.above_value(RISING, value=0).low == pytest.approx(2.5 - 3.18245 * 1.29099 / 2, abs=1e-4)
    assert statistics.above_value(ZEROS, value=0).refuted == 0


@pytest.mark.parametrize(("centre", "shown"), [(0.0, True), (0.09, False), (0.2, False)])
def test_near_is_two_one_sided_tests(centre: float, shown: bool):
    values = sample(*[0.5 + centre + step for step in (-0.02, -0.01, 0.01, 0.02)])
    found = statistics.near(values, value=0.5, margin=0.10)
    assert (found.shown <= 0.05) == shown
    assert (found.refuted <= 0.05) == (centre == 0.2)
    # The harder side: from 0.5 + centre to 0.6, with deviation 0.018257 over 4 values.
    t = (0.10 - centre) / (0.018257 / 2)
    assert found.shown == pytest.approx(one_sided(t), abs=1e-3)


def one_sided(t: float) -> float:
    """P(T > t) with 3 degrees of freedom, in closed form."""
    x = t / math.sqrt(3)
    return 0.5 - (math.atan(x) + x / (1 + x * x)) / math.pi


def test_the_closed_form_is_that_of_the_tables():
    assert one_sided(3.18245) == pytest.approx(0.025, abs=1e-6)


def test_equivalence_is_not_the_absence_of_a_difference():
    noisy = statistics.equivalent(sample(-3, 3, -2, 2), ZEROS, margin=0.01)
    assert min(noisy.shown, noisy.refuted) > 0.3
    assert statistics.equivalent(sample(0.001, 0, -0.001, 0), ZEROS, margin=0.01).shown < 0.001
    assert statistics.equivalent(sample(0.03, 0.031, 0.029, 0.03), ZEROS, margin=0.01).refuted < 0.001


def test_a_ratio_is_within_bounds_where_its_95_percent_interval_is():
    """log ratios -d, d with mean 0: the interval is symmetric, and 0.05 is where it touches log 1.5."""
    step = math.log(1.5) / (3.18245 / 2 * math.sqrt(4 / 3))  # so that t · s / sqrt(n) = log 1.5
    values = sample(*np.exp([step, -step, step, -step]))
    found = statistics.ratio_within(values, sample(1, 1, 1, 1), low=1 / 1.5, high=1.5)
    assert found.shown == pytest.approx(0.05, abs=1e-4)
    assert (found.low, found.high) == pytest.approx((1 / 1.5, 1.5), abs=1e-4)


def test_a_ratio_without_an_upper_bound():
    doubled = statistics.ratio_within(sample(2.0, 2.1, 1.9, 2.0), sample(1, 1, 1, 1), low=1.5, high=math.inf)
    assert doubled.shown < 0.05
    same = statistics.ratio_within(sample(1.0, 1.1, 0.9, 1.0), sample(1, 1, 1, 1), low=1.5, high=math.inf)
    assert same.refuted < 0.05


def test_variances_are_compared_by_f():
    """9.277 is the 95 % point of F with 3 and 3 degrees of freedom, 19.164 with 3 and 2."""
    calm, wild = sample(1, 2, 3, 4), sample(*(math.sqrt(9.27663) * value for value in (1, 2, 3, 4)))
    assert statistics.steadier(calm, wild).shown == pytest.approx(0.05, abs=1e-5)
    assert statistics.steadier(wild, calm).refuted == pytest.approx(0.05, abs=1e-5)
    assert statistics.steadier(calm, calm).shown == pytest.approx(0.5)
    fewer, wilder = sample(1, 2, 3), sample(*(math.sqrt(19.16429 / (5 / 3)) * value for value in (1, 2, 3, 4)))
    assert statistics.steadier(fewer, wilder).shown == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize(("left", "right", "shown", "refuted"), [
    (ZEROS, RISING, 0.0, 1.0), (RISING, ZEROS, 1.0, 0.0), (ZEROS, ZEROS, 1.0, 1.0),
])  # fmt: skip
def test_variances_of_zero(left: dict[int, float], right: dict[int, float], shown: float, refuted: float):
    found = statistics.steadier(left, right)
    assert (found.shown, found.refuted) == (shown, refuted)


def test_a_trend_that_all_seeds_have_is_one_order_of_six_in_each():
    high, middle, low = sample(9, 8, 9, 8), sample(5, 5, 6, 6), sample(1, 2, 1, 2)
    assert statistics.falling(high, middle, low).shown == pytest.approx((1 / 6) ** 4)
    assert statistics.falling(low, middle, high).refuted == pytest.approx((1 / 6) ** 4)
    assert statistics.falling(high, middle, low).estimate == pytest.approx(1.5 / 8.5)


def test_a_trend_with_its_means_out_of_order_is_not_shown():
    """Ranks fall in three seeds of four; one seed's outlier lifts the second mean over the first."""
    found = statistics.falling(sample(9, 9, 9, 9), sample(8, 8, 8, 30), sample(1, 1, 1, 1))
    assert found.shown == 1
    assert "out of order" in found.test


def test_a_computed_number_is_compared_part_by_part():
    close = statistics.within_part(sample(100.5, 99.2), value=100, part=0.01)
    assert (close.estimate, close.shown, close.refuted) == (0.992, 0, 1)
    off = statistics.within_part(sample(100.0, 101.5), value=100, part=0.01)
    assert (off.estimate, off.shown, off.refuted) == (1.015, 1, 0)


def test_null_differences_are_the_measure_of_differences():
    """All four below all four: one order of 70."""
    small, large = [0.1, -0.2, 0.3, -0.4], [1.0, -1.1, 1.2, -1.3]
    assert statistics.no_larger(small, large, factor=1.0).shown == pytest.approx(1 / 70)
    assert statistics.no_larger(large, small, factor=1.0).refuted == pytest.approx(1 / 70)
    assert statistics.no_larger(large, [value * 0.9 for value in large], factor=2.0).shown == pytest.approx(1 / 70)
    assert statistics.no_larger(large, small, factor=1.0).estimate == pytest.approx(1.15 / 0.25)


def test_no_difference_at_all_is_no_larger_than_any():
    found = statistics.no_larger([0.0] * 4, [0.0] * 4, factor=2.0)
    assert (found.shown, found.refuted) == (0, 1)


def test_differences_that_rounding_alone_tells_apart_are_equal():
    """Accuracies of 450 sequences, some as far apart between frameworks as between engines, in counts and in parts."""
    frameworks, engines = [3, 1, 4, 9, 2], [3, 6, 4, 2, 5]
    counts = statistics.no_larger(frameworks, engines, factor=2.0)
    parts = [
        [(base + count) / 450 - base / 450 for base, count in enumerate(side, first)]
        for side, first in ((frameworks, 380), (engines, 400))
    ]
    assert parts[0][2] != parts[1][2]
    found = statistics.no_larger(*parts, factor=2.0)
    assert (found.shown, found.refuted) == (counts.shown, counts.refuted)


def test_ranks_and_thresholds():
    values = np.array([1.0, 2.0, 5.0, 9.0])
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(np.ones(4), values) == 0
    assert first_reached(values, np.array([0.1, 0.9, 0.5, 0.95]), threshold=0.9) == 2.0
    assert math.isnan(first_reached(values, values, threshold=10))


def test_time_saved_is_read_against_steps_left_out():
    assert statistics.saved_above(sample(0.9, 0.8, 0.9, 0.8), share=0.5).shown < 0.05
    assert statistics.saved_above(sample(0.1, 0.0, 0.1, 0.0), share=0.5).refuted < 0.05
