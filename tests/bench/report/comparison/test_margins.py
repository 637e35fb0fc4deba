"""The margins of equivalence: chosen before any run was looked at, so that none moves unnoticed."""

from __future__ import annotations

import math

import pytest

from bench.report.comparison.margins import margins


@pytest.mark.parametrize(
    ("metric", "margin"),
    [
        ("accuracy", 0.01),
        ("mean_average_precision", 0.003),
        ("update_ratio", 0.05),
        ("mean_squared_error", math.log(2)),  # as far from half as from twice
    ],
)
def test_a_margin_on_the_scale_that_is_averaged(metric: str, margin: float) -> None:
    assert margins().of(metric) == pytest.approx(margin)
    assert margins().is_ratio(metric) == (metric == "mean_squared_error")


def test_a_metric_without_a_margin_has_none_and_frameworks_may_differ_by_twice_what_engines_do() -> None:
    assert math.isnan(margins().of("perplexity"))
    assert margins().between_engines.ratio == 2.0
    assert not set(margins().difference) & set(margins().ratio)
