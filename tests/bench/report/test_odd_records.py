"""Odd records make a report that says what is odd: no traceback, no empty plot, no figure that cannot be read."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import report
from bench.plan.trial import Trial, build_trial
from bench.records.record import Record, failure
from bench.records.store import Store, write_curve
from bench.report.comparison.paired_differences import compare
from bench.report.figures import differences, learning_curves, parts, quality, sequences, step_times
from bench.report.figures.style import house_style
from bench.report.frames import curves_frame, read_records, trials_frame
from bench.tasks import TASKS
from bench.tasks.digits import Digits
from impls.kinds import KINDS
from tests.bench.report.many import many_records, write_many
from tests.bench.report.outline import Outline
from tests.bench.report.stored import SWEEP, check_nothing_runs_out, list_sweep, ok_record, trial, write_run

Reported = Callable[..., str]
Written = Callable[..., None]

pytestmark = pytest.mark.usefixtures("unsaved")


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Stores runs, each a trial with its record."""

    def write(runs: Iterable[tuple[Trial, Record]], *, files: bool = True) -> None:
        store, asked = Store(tmp_path / "results"), []
        for of, record in runs:
            write_run(store, record) if files and record.status == "ok" else store.write(record)
            asked.append(of)
        list_sweep(store.results, asked)

    return write


@pytest.fixture
def reported(written: Written, tmp_path: Path) -> Reported:
    """Stores runs and returns the words of their report."""

    def write(runs: Iterable[tuple[Trial, Record]], *, files: bool = True, trials: list[Trial] | None = None) -> str:
        written(runs, files=files)
        return words_of(tmp_path, trials=trials)

    return write


def words_of(folder: Path, *, trials: list[Trial] | None = None) -> str:
    page = report.write_report(SWEEP, results=folder / "results", reports=folder / "reports", trials=trials)
    text = page.read_text(encoding="utf-8")
    parsed = Outline()
    parsed.feed(text)
    assert len(parsed.all("img")) == len(list((page.parent / "figures").glob("*.svg")))
    return re.sub(r"\s+", " ", re.sub(r"<(script|style)>.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL))


def run(task: str, cell: str, framework: str, *, seed: int = 0, cost: float = 0.0, **more: Any) -> Any:
    of = trial(task, cell, framework, seed=seed, budget_cost=cost)
    return of, ok_record(of, **({"quality": 0.1} | more))


def test_one_framework_alone(reported: Reported) -> None:
    text = reported([run("adding", cell, "pytorch", update_ratio=0.5) for cell in ("skip_lstm", "skip_gru")])
    assert "All trials are of PyTorch, so there is nothing to compare." in text


def test_one_run(reported: Reported) -> None:
    text = reported([run("digits", "lstm", "tensorflow", quality=0.5)])
    assert "1 trial: 1 ok." in text
    assert "highest accuracy 50 % by LSTM in TensorFlow" in text
    assert "No skip cell skipped anything." in text


def test_trials_of_a_single_step_have_no_time_of_a_step(reported: Reported) -> None:
    runs = [run("adding", "skip_lstm", name, step_milliseconds=None) for name in ("pytorch", "tensorflow")]
    assert "2 trials: 2 ok." in reported(runs)


def test_a_missing_trial_whose_task_cannot_be_asked(reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, lost = run("digits", "lstm", "pytorch"), run("adding", "gru", "pytorch")
    monkeypatch.setattr(TASKS["adding"], "length", property(lambda self: 1 / 0))
    assert "2 trials: 1 ok, 1 missing." in reported([kept], trials=[kept[0], lost[0]])


def test_all_failed(reported: Reported) -> None:
    asked = [trial("adding", "lstm", name) for name in ("pytorch", "tensorflow")]
    text = reported([(of, failure(of, status="failed", error="MemoryError: none left")) for of in asked])
    assert "2 trials: 2 failed." in text
    for otherwise in (
        "No trial ended ok with a learning curve.",
        "No configuration ended ok with finite qualities.",
        "No trial ended ok with a measured step.",
        "No skip cell skipped anything.",
        "No trial ended ok, so there is nothing to compare.",
    ):
        assert otherwise in text


def test_seeds_that_agree_to_the_last_digit(reported: Reported) -> None:
    several = [run("adding", "lstm", name, seed=seed) for name in ("pytorch", "tensorflow") for seed in range(3)]
    text = reported(several)
    assert "0.1000 ± 0" in text
    assert "PyTorch and TensorFlow, 3 pairs in 1 configuration: quality 1 undecided." in text


def test_quality_of_exactly_zero_on_a_logarithmic_axis(reported: Reported) -> None:
    assert "lowest mean squared error 0 by LSTM" in reported([run("adding", "lstm", "pytorch", quality=0.0)])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(written: Written, tmp_path: Path, value: float) -> None:
    odd = run("adding", "skip_lstm", "pytorch", quality=value, update_ratio=0.5, step_milliseconds=value)
    even = run("digits", "skip_lstm", "pytorch", update_ratio=0.5)
    written([odd, even])
    rows = [{"step": 10, "quality": value, "update_ratio": 1.0}, {"step": 20, "quality": 0.3, "update_ratio": 1.0}]
    write_curve(Store(tmp_path / "results").folder_of(odd[0].id) / "curve.csv", rows)
    text = words_of(tmp_path)
    assert "adding problem, T = 10: no trial has a finite mean squared error; 0 of 1 trial solved the task." in text
    assert "Without a figure, for want of such trials: adding problem, T = 10." in text
    assert "1 evaluations of this task were not finite and are not drawn." in text


def test_only_curves_that_are_not_finite(written: Written, tmp_path: Path) -> None:
    odd = run("adding", "lstm", "pytorch")
    written([odd])
    rows = [{"step": 10, "quality": float("nan"), "update_ratio": 1.0}]
    write_curve(Store(tmp_path / "results").folder_of(odd[0].id) / "curve.csv", rows)
    assert "No trial ended ok with a learning curve" in words_of(tmp_path)


def test_no_seeds_in_common(reported: Reported) -> None:
    text = reported([run("adding", "lstm", "pytorch", seed=0), run("adding", "lstm", "tensorflow", seed=1)])
    assert "The frameworks have no seed in common, so no two trials form a pair." in text
    assert "TensorFlow: not in the sweep" in text


def test_a_record_in_quarantine(written: Written, tmp_path: Path) -> None:
    kept, lost = run("adding", "lstm", "pytorch"), run("adding", "gru", "pytorch")
    written([kept, lost])
    Store(tmp_path / "results").set_aside(lost[0].id, reason="its checksum differs")
    place = tmp_path / "results" / "quarantine" / f"{lost[0].id}-1"
    assert f"Left out: set aside in {place}: its checksum differs" in words_of(tmp_path)
    text = words_of(tmp_path, trials=[kept[0], lost[0]])
    assert "2 trials: 1 ok, 1 missing." in text
    assert f"set aside in {place}: its checksum differs" in text


@pytest.mark.parametrize("reason", ["no text", "a folder"])
def test_a_reason_that_cannot_be_read(written: Written, tmp_path: Path, reason: str) -> None:
    kept, lost = run("adding", "lstm", "pytorch"), run("adding", "gru", "pytorch")
    written([kept, lost])
    path = Store(tmp_path / "results").set_aside(lost[0].id, reason="") / "reason.txt"
    path.write_bytes(b"caf\xe9")
    if reason == "a folder":
        path.unlink()
        path.mkdir()
    told = {"no text": "caf\ufffd", "a folder": "no reason is told"}[reason]
    assert f"Left out: set aside in {path.parent}: {told}" in words_of(tmp_path)


def test_an_environment_of_other_types(reported: Reported, tmp_path: Path) -> None:
    """Sealed by somebody else's program: what it tells is text, and two that differ are two conditions."""
    odd = {"processor": ["a", 1], "gpu": [1, 2], "packages": "none", "threads": {"a": {}}, "memory_bytes": "much"}
    several = [
        run("adding", "lstm", framework, seed=seed, environment=odd | {"gpu": [framework]}, step_milliseconds=5.0)
        for framework in ("pytorch", "tensorflow")
        for seed in range(2)
    ]
    text = reported(several)
    assert "processor [&#39;a&#39;, 1]" in text
    assert "GPUs ([&#39;pytorch&#39;] and [&#39;tensorflow&#39;])" in text
    console = Console(file=io.StringIO(), width=200)
    report.print_comparison(SWEEP, results=tmp_path / "results", console=console)
    report.print_claims(SWEEP, results=tmp_path / "results", console=console)


def test_a_record_without_curve_and_gates(reported: Reported) -> None:
    text = reported([run("adding", "skip_lstm", "pytorch", update_ratio=0.5)], files=False)
    assert "No trial ended ok with a learning curve." in text
    assert "No skip cell skipped anything." in text


def test_a_task_and_a_cell_of_ones_own(reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bars(Digits):
        name = "bars & <b>stripes</b>"

    monkeypatch.setitem(TASKS, Bars.name, Bars)
    monkeypatch.setitem(KINDS, "rnn", replace(KINDS["gru"], name="rnn"))
    text = reported([run(Bars.name, "skip_rnn", "pytorch", update_ratio=0.5)])
    assert "bars &amp; &lt;b&gt;stripes&lt;/b&gt;, T = 64: highest accuracy 10 % by Skip rnn in PyTorch" in text


@pytest.mark.slow
def test_figures_of_many_configurations_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST", 2)
    write_many(tmp_path, costs=15)  # 30 configurations of each task
    store = Store(tmp_path)
    frame = trials_frame(read_records(SWEEP, results=tmp_path).records.values())
    comparison = compare(frame, apart="framework")
    with house_style():
        drawn = {
            "curves": learning_curves.learning_curves(curves_frame(frame, store=store), frame),
            "times": step_times.step_times(frame),
            "differences": differences.framework_differences(comparison, frame),
            "quality": quality.quality_against_update_ratio(frame),
            "used": sequences.used_and_skipped(frame, store=store),
        }
    for kind in ("curves", "times", "differences"):
        first, last, *_ = drawn[kind]
        assert (len(drawn[kind]), first.title[-8:], last.title[-8:]) == (4, "(1 of 2)", "(2 of 2)")
        assert "not drawn" not in first.caption
        assert "6 further configurations are not drawn; the data beside this figure hold them." in last.caption
        assert set(first.data["label"]) | set(last.data["label"]) == set(frame["label"])
    assert all(len(axes.lines) <= 12 for picture in drawn["curves"] for axes in picture.figure.axes)
    for picture in drawn["quality"]:
        assert len(picture.figure.axes[0].texts) <= 12
        assert re.search(r"Of 30 configurations \d+ are named", picture.caption)
    assert len(drawn["used"]) == 12
    assert "Of 30 configurations 6 are drawn" in drawn["used"][0].caption


def test_few_configurations_are_all_drawn_and_named() -> None:
    frame = trials_frame([record for _, record in many_records(3)])
    with house_style():
        picture = quality.quality_against_update_ratio(frame)[0]
    (key,) = picture.figure.legends
    costs = ("1e-5", "2e-5", "3e-5")
    names = [f"{number}  {cell}, λ = {cost}" for number, (cell, cost) in
             enumerate(((cell, cost) for cell in ("Skip LSTM", "Skip GRU") for cost in costs), start=1)]  # fmt: skip
    assert [text.get_text() for text in key.get_texts()] == [*names, "PyTorch", "TensorFlow"]
    assert {text.get_text() for text in picture.figure.axes[0].texts} == set("123456")
    assert "are named" not in picture.caption
    assert "whiskers: lowest to highest seed" in picture.figure.axes[0].get_xlabel()


def test_a_number_leads_to_a_marker_of_each_framework() -> None:
    """Means of the two frameworks, of which one has neither the quality nor the updates of the other."""
    places = {"pytorch": (0.1, 0.2), "tensorflow": (0.4, 0.8)}
    records = [
        ok_record(trial("adding", "skip_lstm", name), quality=quality, update_ratio=ratio)
        for name, (quality, ratio) in places.items()
    ]
    with house_style():
        (picture,) = quality.quality_against_update_ratio(trials_frame(records))
    notes = picture.figure.axes[0].texts
    assert [(note.get_text(), (note.xy[1], note.xy[0])) for note in notes] == [
        ("1", place) for place in places.values()
    ]
    assert all(note.arrow_patch.get_visible() for note in notes)


def test_figures_of_configurations_that_differ_in_much_can_be_read() -> None:
    """Names in lines beside panels, numbers beside markers with a key below; nothing runs out of a figure."""
    much = {"layer_norm": True, "update_bias": -3.0, "gate": "bernoulli", "activation": "relu", "units": 16}
    plain = trial("adding", "skip_lstm", "pytorch")
    several = [
        plain,
        *(plain.model_copy(update={"seed": seed}) for seed in (1, 2, 3, 4)),
        trial("adding", "lstm", "pytorch"),
    ]
    for framework in ("pytorch", "tensorflow"):
        content = trial("adding", "skip_lstm", framework).model_dump(mode="json") | much
        several += [build_trial(content | {"forget_bias": bias}, where="test") for bias in (0.5, 2.0)]
    frame = trials_frame([ok_record(of, quality=0.1, update_ratio=0.5) for of in several])
    told = "units = 16, activation = relu, forget bias = {}, layer norm = yes, update bias = -3, gate = bernoulli"
    assert set(frame["variant"]) == {"", told.format(0.5), told.format(2)}
    curves = frame[["problem", "task", "cell", "variant", "label", "framework", "trial_id"]].assign(step=1, quality=0.1)
    with house_style():
        scatter = quality.quality_against_update_ratio(frame)[0]
        drawn = [
            *learning_curves.learning_curves(curves, frame),
            *step_times.step_times(frame),
            *differences.framework_differences(compare(frame, apart="framework"), frame),
            scatter,
        ]
        for picture in drawn:
            picture.figure.draw_without_rendering()
            check_nothing_runs_out(picture)
    (key,) = scatter.figure.legends
    named = [" ".join(text.get_text().split()) for text in key.get_texts()]
    assert {f"{number} Skip LSTM, {told.format(bias)}" for number, bias in ((3, 0.5), (4, 2))} <= set(named)
