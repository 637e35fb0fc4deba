"""What an option is called is text wherever it is shown: no formula in a figure, no markup on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from matplotlib.text import Text
from rich.console import Console

from bench import report
from bench.plan.trial import Trial
from bench.records.store import Store
from bench.report.comparison.paired_differences import compare
from bench.report.figures import differences, learning_curves, quality, sequences, step_times
from bench.report.figures.style import Picture, house_style
from bench.report.frames import curves_frame, rows_of, trials_frame
from tests.bench.report.stored import SWEEP, list_sweep, ok_record, write_run

OwnTrial = Callable[..., Trial]


def drawn(name: str, own_trial: OwnTrial, results: Path) -> Iterator[Picture]:
    """A figure of each kind, of a problem whose name holds this one."""
    asked = [own_trial(value, framework=framework) for value in (name, "c") for framework in ("pytorch", "tensorflow")]
    for of in asked:
        write_run(Store(results), ok_record(of, quality=0.5, update_ratio=0.5))
    frame = trials_frame(ok_record(of, quality=0.5, update_ratio=0.5) for of in asked)
    yield from learning_curves.learning_curves(curves_frame(frame, store=Store(results)), frame)
    yield from quality.quality_against_update_ratio(frame)
    yield from step_times.step_times(frame)
    yield from differences.framework_differences(compare(frame, apart="framework"), frame)


@pytest.mark.parametrize("name", ["^a$|^b$", r"$\no formula$", r"\$5", "$"])
def test_a_figure_shows_names_as_they_stand(name: str, own_trial: OwnTrial, tmp_path: Path) -> None:
    with house_style():
        titles = []
        for picture in drawn(name, own_trial, tmp_path):
            picture.figure.draw_without_rendering()
            texts = picture.figure.findobj(Text)
            assert not any(text.get_parse_math() for text in texts), picture.name
            titles += [text.get_text() for text in texts if f"value = {name}" in text.get_text()]
    assert len(titles) == 4


def test_the_stride_of_a_drawn_sequence_is_no_part_of_another_option(own_trial: OwnTrial, tmp_path: Path) -> None:
    of = own_trial("stride=4")
    write_run(Store(tmp_path), ok_record(of, quality=0.5))
    (row,) = rows_of(trials_frame([ok_record(of, quality=0.5)]))
    examples = sequences.trial_examples(row, store=Store(tmp_path))
    assert examples is not None
    assert examples.stride == 1


@pytest.mark.parametrize("name", ["[red]x", "[/b]", "a:warning:b"])
def test_a_terminal_shows_names_as_they_stand(name: str, own_trial: OwnTrial, tmp_path: Path) -> None:
    """In a title too, which tells what is the same in every row."""
    asked = [own_trial(value, framework="pytorch", seed=seed) for value in (name, "c") for seed in (0, 1)]
    asked += [own_trial(name, framework="tensorflow", seed=seed) for seed in (0, 1)]
    asked += [of.model_copy(update={"cell": "gru"}) for of in asked]
    for of in asked:
        Store(tmp_path).write(ok_record(of, quality=0.5))
    list_sweep(tmp_path, asked)
    console = Console(file=io.StringIO(), width=200)
    report.print_results(SWEEP, results=tmp_path, console=console)
    report.print_comparison(SWEEP, results=tmp_path, console=console)
    told = console.file.getvalue()
    (title,) = [line for line in told.splitlines() if line.startswith("times and memory")]
    assert f"task mine, T = 64, value = {name}" in title
    assert f"mine, T = 64, value = {name}  LSTM" in told
