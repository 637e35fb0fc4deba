"""What is shown of finished trials: where their time went, and the headline numbers of one."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from bench.launch.display.words import headline, where_time_went
from bench.plan.trial import build_trial
from bench.records.record import Record, failure, identity

TRIAL = build_trial({"task": "adding", "cell": "lstm", "framework": "pytorch"}, where="test")


def record(**fields: object) -> Record:
    return Record(**identity(TRIAL), **{"status": "ok"} | fields)


def test_shares_add_up_over_trials_and_the_rest_is_what_is_left() -> None:
    records = [
        record(total_seconds=10.0, train_seconds=5.0, evaluate_seconds=1.0, compile_seconds=2.0, timing_seconds=1.0),
        record(
            total_seconds=30.0, train_seconds=15.0, evaluate_seconds=3.0, compile_seconds=2.0, timing_seconds=3.0
        ).model_copy(update={"steps": 50, "wait_milliseconds": 40.0}),
        failure(TRIAL, status="failed", error="ended before it could tell its times"),
    ]
    assert where_time_went(records, workers=1) == (
        "where the time of 2 trials went (40 s): training 50%, waiting for data 5%, evaluation 10%, timed passes 10%, "
        "compilation 10%, the rest 15%"
    )


def test_an_import_that_trials_share_is_counted_once() -> None:
    shared = record(total_seconds=6.0, train_seconds=6.0, import_seconds=3.0)
    assert where_time_went([shared, shared], workers=1) == (
        "where the time of 2 trials went (15 s): imports 20%, training 80%, waiting for data 0%, evaluation 0%, "
        "timed passes 0%, compilation 0%, the rest 0%"
    )


def test_times_of_trials_side_by_side_are_marked() -> None:
    assert where_time_went([record(total_seconds=1.0)], workers=3).endswith("3 workers side by side")
    assert "side by side" not in where_time_went([record(total_seconds=1.0)], workers=1)


def test_without_times_nothing_is_said() -> None:
    assert where_time_went([], workers=2) == ""


def test_the_headline_of_a_trial_shows_its_first_record_beside_it() -> None:
    console = Console(file=StringIO(), width=120)
    console.print(headline(record(quality=0.25, update_ratio=0.5), first=record(quality=0.125, error="[bold]x[/]")))
    shown = console.file.getvalue()
    (quality,) = [line.split() for line in shown.splitlines() if line.startswith("quality ")]
    assert quality == ["quality", "0.25", "0.125"]
    assert "50.00%" in shown
    assert "[bold]x[/]" in shown, "an error's brackets are text, not markup"


def test_the_headline_says_whether_each_solved_the_task() -> None:
    console = Console(file=StringIO(), width=120)
    for solved, before in ((True, False), (None, True)):
        console.print(headline(record(solved=solved), first=record(solved=before)))
    shown = [line.split() for line in console.file.getvalue().splitlines() if line.startswith("solved ")]
    assert shown == [["solved", "yes", "no"], ["solved", "–", "yes"]]
