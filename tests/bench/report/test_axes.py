"""The axes of figures: errors and ratios of times on logarithmic ones, shares on linear ones in percent."""

from __future__ import annotations

import pytest

from bench.records.record import Record
from bench.report.comparison.paired_differences import compare
from bench.report.comparison.skipping import skipping_against_plain
from bench.report.figures.differences import framework_differences
from bench.report.figures.quality import quality_against_update_ratio
from bench.report.figures.skipping import time_against_updates
from bench.report.figures.style import house_style, new_figure, scale_quality
from bench.report.frames import trials_frame
from tests.bench.report.stored import ok_record, trial


@pytest.mark.parametrize(("task", "scale", "word"), [("adding", "log", "error"), ("digits", "linear", "accuracy (%)")])
def test_quality_against_updates(task: str, scale: str, word: str) -> None:
    records = [
        ok_record(trial(task, "skip_lstm", "pytorch", seed=seed), quality=quality, update_ratio=0.5)
        for seed, quality in enumerate((0.02, 0.4))
    ]
    (picture,) = quality_against_update_ratio(trials_frame(records))
    (axes,) = picture.figure.axes
    assert axes.get_yscale() == scale
    assert axes.get_xscale() == "linear"
    assert word in axes.get_ylabel()
    assert axes.xaxis.get_major_formatter()(0.5, 0) == "50"
    low, high = axes.get_ylim()
    assert low < 0.02 < 0.4 < high


def test_ticks_of_a_logarithmic_axis_are_numbers_as_text_has_them() -> None:
    """Nothing in a figure is a formula, so that no name of an option is one."""
    with house_style():
        axes = new_figure(height=3.0).subplots()
        scale_quality(axes, metric="mean_squared_error", low=3e-5, high=0.2)
        axes.set_ylim(3e-5, 0.2)
    assert {"1e-4", "0.001", "0.01", "0.1"} <= {label.get_text() for label in axes.get_yticklabels()}
    axes.set_ylim(0.012, 0.034)
    assert [label.get_text() for label in axes.get_yticklabels(minor=True)][:2] == ["0.02", "0.03"]


def test_an_error_of_0_has_no_logarithm_and_equal_values_have_room() -> None:
    axes = new_figure(height=2.0).subplots()
    scale_quality(axes, metric="mean_squared_error", low=0.0, high=0.5)
    assert axes.get_yscale() == "linear"
    scale_quality(axes, metric="accuracy", low=0.5, high=0.5)
    assert axes.get_ylim() == pytest.approx((0.45, 0.55))
    assert axes.yaxis.get_major_formatter()(0.5, 0) == "50"


def test_twice_the_time_is_as_far_from_the_level_line_as_half_of_it() -> None:
    times = {"inference_milliseconds": 5.0, "inference_milliseconds_batch_1": 5.0, "implementation": "kernels"}
    records = [
        ok_record(trial("adding", cell, "pytorch"), quality=0.1, milliseconds=1.0, update_ratio=ratio, **times)
        for cell, ratio in (("lstm", 1.0), ("skip_lstm", 0.5))
    ]
    (picture,) = time_against_updates(skipping_against_plain(trials_frame(records)))
    assert {axes.get_yscale() for axes in picture.figure.axes} == {"log"}
    assert {axes.get_xscale() for axes in picture.figure.axes} == {"linear"}


def test_a_line_of_differences_names_its_engine_where_there_are_several() -> None:
    records = [
        ok_record(trial("adding", "lstm", framework).model_copy(update={"engine": engine}), quality=quality)
        for engine in ("fast", "reference")
        for framework, quality in (("pytorch", 0.1), ("tensorflow", 0.2))
    ]

    def lines(of: list[Record]) -> set[str]:
        frame = trials_frame(of)
        (picture,) = framework_differences(compare(frame, apart="framework"), frame)
        return {label.get_text() for axes in picture.figure.axes for label in axes.get_yticklabels()}

    assert lines(records) == {"LSTM, fast", "LSTM, reference"}
    assert lines(records[:2]) == {"LSTM"}
