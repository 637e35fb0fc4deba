"""Means and bars of times that are not each other's: of other load, machines or versions."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.records.record import Record, identity
from bench.report.company import MIXED_TIMES
from bench.report.figures import step_times
from bench.report.figures.style import Picture, house_style
from bench.report.frames import trials_frame
from bench.report.page import sections
from bench.report.tables.printed import printed
from bench.report.tables.results import aggregate, readable
from tests.bench.report.stored import ENVIRONMENT, check_nothing_runs_out, ok_record, trial


def said_under(picture: Picture) -> str:
    """What stands under a figure's axis, in one line."""
    return " ".join(picture.figure.axes[0].get_xlabel().split())


def test_a_mean_over_mixed_company_is_marked_and_said():
    """One trial ran beside one other and one beside three: their mean time is of neither."""
    frame = trials_frame(
        ok_record(trial("adding", cell, "pytorch", seed=seed), quality=0.1, milliseconds=8.0 + seed, beside=beside)
        for cell, besides in (("lstm", (1, 3)), ("gru", (2, 2)))
        for seed, beside in enumerate(besides)
    )
    text = readable(aggregate(frame))
    shown = text.text.set_index("cell")
    assert (shown.loc["LSTM", "step_milliseconds"], shown.loc["LSTM", "company"]) == ("8.50 ± 0.71 †", "mixed")
    assert (shown.loc["GRU", "step_milliseconds"], shown.loc["GRU", "company"]) == ("8.50 ± 0.71", "beside 2")
    assert "†" not in shown.loc["LSTM", "quality"] + shown.loc["LSTM", "reported_step_milliseconds"]
    assert MIXED_TIMES in sections.results(text).prose
    (group,) = printed(aggregate(frame)).values()
    assert sorted(group["step (ms)"]) == ["8.50 ± 0.71", "8.50 ± 0.71 †"]


@pytest.mark.parametrize(
    ("loads", "words"),
    [
        ((0.1, 1.9), None),  # of two cores: less than one process each
        ((20.0, 39.0), None),
        ((None, None), None),
        ((0.5, 20.0), "on machines with 1 to 10 processes a core"),
        ((0.5, None), "on machines that do not all tell how busy they were"),
    ],
)
def test_a_mean_over_machines_of_which_one_was_busier_is_marked_and_its_bars_say_so(loads, words):
    """By the rule of pairs: as many other trials ran beside both, and that alone does not make their times alike."""
    frame = trials_frame(
        ok_record(
            trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, milliseconds=1.0 + seed,
            beside=0, processor_load=load,
        )
        for seed, load in enumerate(loads)
    )  # fmt: skip
    row = readable(aggregate(frame)).text.iloc[0]
    marked = ("1.50 ± 0.71 †", "mixed") if words else ("1.50 ± 0.71", "alone")
    assert (row["step_milliseconds"], row["company"]) == marked
    (picture,) = step_times.step_times(frame)
    told = f"{words}, so bars are not to be compared" if words else ""
    assert said_under(picture) == f"milliseconds of a training step (median) {told}".strip()
    assert ("Shorter is faster" in picture.caption) == (not words)


def test_bars_beside_each_other_do_not_compare_where_their_machines_were_not_about_as_busy():
    """Each row's trials are alike, so that no mean is marked; the two bars are not each other's."""
    frame = trials_frame(
        ok_record(trial("adding", cell, "pytorch", seed=seed), quality=0.1, beside=0, processor_load=load)
        for cell, load in (("lstm", 0.5), ("gru", 20.0))
        for seed in (0, 1)
    )
    assert readable(aggregate(frame)).text["company"].tolist() == ["alone", "alone"]
    (picture,) = step_times.step_times(frame)
    assert "1 to 10 processes a core, so bars are not to be compared" in said_under(picture)


def test_a_trial_that_did_not_end_ok_marks_no_mean():
    alike = [
        ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, processor_load=1.0) for seed in (0, 1)
    ]
    failed = identity(trial("adding", "lstm", "pytorch", seed=2))
    busy = Record(**failed, status="failed", error="MemoryError", processor_load=50.0)
    assert readable(aggregate(trials_frame([*alike, busy]))).text["company"].tolist() == ["not told"]


def test_a_mean_over_unlike_machines_is_marked_and_its_bars_say_so():
    """As where the shards of a sweep ran on two machines and were merged."""

    def of_machines(*processors: str) -> pd.DataFrame:
        return trials_frame(
            ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, milliseconds=1.0 + seed).model_copy(
                update={"environment": {"processor": processor}}
            )
            for seed, processor in enumerate(processors)
        )

    alike, unlike = of_machines("fast", "fast"), of_machines("fast", "slow")
    assert readable(aggregate(alike)).text["step_milliseconds"].tolist() == ["1.50 ± 0.71"]
    assert readable(aggregate(unlike)).text["step_milliseconds"].tolist() == ["1.50 ± 0.71 †"]
    words = [said_under(step_times.step_times(frame)[0]) for frame in (alike, unlike)]
    assert ["on unlike machines, so bars are not to be compared" in each for each in words] == [False, True]


def test_a_mean_over_unlike_versions_of_a_framework_is_marked_and_its_bars_say_so():
    """Of its own: another framework that is installed beside it, or has bars beside its own, makes no difference."""

    def of_versions(*packages: dict[str, str]) -> pd.DataFrame:
        return trials_frame(
            ok_record(
                trial("adding", "lstm", framework, seed=seed),
                quality=0.1,
                milliseconds=1.0 + seed,
                environment=ENVIRONMENT | {"packages": installed},
            )
            for seed, installed in enumerate(packages)
            for framework in ("pytorch", "tensorflow")
        )

    alike = of_versions({"torch": "2.13.0", "tensorflow": "2.21.0"}, {"torch": "2.13.0", "tensorflow": "2.21.0"})
    unlike = of_versions({"torch": "2.13.0", "tensorflow": "2.21.0"}, {"torch": "2.0.0", "tensorflow": "2.21.0"})
    assert readable(aggregate(alike)).text["step_milliseconds"].tolist() == ["1.50 ± 0.71", "1.50 ± 0.71"]
    assert readable(aggregate(unlike)).text["step_milliseconds"].tolist() == ["1.50 ± 0.71 †", "1.50 ± 0.71"]
    words = [said_under(step_times.step_times(frame)[0]) for frame in (alike, unlike)]
    assert ["with unlike versions of a framework, so bars" in each for each in words] == [False, True]


@pytest.mark.parametrize(("besides", "told"), [((1, 1), False), ((1, 3), True)])
def test_bars_of_trials_beside_different_numbers_of_others_say_that_they_do_not_compare(besides, told):
    records = [
        ok_record(trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, beside=beside)
        for seed, beside in enumerate(besides)
    ]
    (picture,) = step_times.step_times(trials_frame(records))
    words = "beside 1 to 3 other trials, so bars are not to be compared"
    assert (words in picture.caption, words in said_under(picture)) == (told, told)


def test_the_longest_warning_under_bars_lies_inside_of_its_figure():
    """Trials beside one and beside fifteen others, on two machines, one of them busy: all that can be said of them."""
    records = [
        ok_record(
            trial("adding", cell, "pytorch", seed=seed),
            quality=0.1,
            beside=beside,
            processor_load=10.0**seed,
            environment={"processor": f"processor {seed}", "cores": 2, "packages": {"torch": f"2.{seed}.0"}},
        )
        for cell in ("lstm", "skip_lstm")
        for seed, beside in enumerate((1, 15))
    ]
    with house_style():
        (picture,) = step_times.step_times(trials_frame(records))
        words = (
            "beside 1 to 15 other trials, on machines with 1 to 5 processes a core, on unlike machines and with "
            "unlike versions of a framework, so bars are not to be compared"
        )
        assert words in said_under(picture)
        picture.figure.draw_without_rendering()
        check_nothing_runs_out(picture)


def test_bars_hold_times_of_one_company():
    frame = trials_frame(
        ok_record(
            trial("adding", "lstm", "pytorch", seed=seed), quality=0.1, milliseconds=8.0 * (1 + seed), beside=seed
        )
        for seed in (0, 1)
    )
    pictures = step_times.step_times(frame)
    assert [(picture.title, picture.data["step_milliseconds_mean"].tolist()) for picture in pictures] == [
        ("adding problem, T = 10, trials that ran alone", [8.0]),
        ("adding problem, T = 10, trials beside others", [16.0]),
    ]
    assert len({picture.name for picture in pictures}) == 2
