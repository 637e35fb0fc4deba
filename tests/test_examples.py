"""The examples, run as a reader types them."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(f"examples/{name}", run_name="__main__")


def test_a_committed_trial_reads_the_same_pixels_in_either_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for framework in ("pytorch", "tensorflow"):
        picture = tmp_path / f"{framework}.png"
        run("read_pixels.py", "--framework", framework, "--to", str(picture), monkeypatch=monkeypatch)
        told.append(capsys.readouterr().out.replace(str(picture), ""))
        assert picture.stat().st_size > 10_000
    assert told[0] == told[1]
    (right, read), recorded = (re.findall(r"([\d.]+%)", line) for line in told[0].splitlines()[:2])
    assert [right, read] == recorded


def test_a_trial_that_is_not_of_a_skip_cell_on_images_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = "results/reference/trials/795d37ed05c157d2"  # random skips
    with pytest.raises(SystemExit, match=r"is of lstm on digits; give one of a skip cell on images$"):
        run("read_pixels.py", "--trial", trial, monkeypatch=monkeypatch)


@pytest.mark.parametrize(("name", "kept"), [("pytorch", "kept.pt"), ("tensorflow", "kept.weights.h5")])
def test_an_own_training_loop_learns_what_to_read(
    name: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(f"own_training_{name}.py", "--steps", "300", "--to", str(tmp_path / kept), monkeypatch=monkeypatch)
    told = capsys.readouterr().out
    (right, updates), used = (
        re.findall(r"loaded from .*: ([\d.]+)% right, (\d+)% updates", told)[0],
        re.findall("[█·]+", told),
    )
    assert float(right) > 85
    assert int(updates) < 75
    assert len(used) == 5
    assert all(line.startswith("█") for line in used)


def test_the_authors_usage_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("dynamic_rnn.py", "--steps", "60", monkeypatch=monkeypatch)
    ((step, error, updates),) = re.findall(
        r"step (\d+): squared error ([\d.]+), (\d+)% updates", capsys.readouterr().out
    )
    assert int(step) == 60
    assert float(error) < 0.3
    assert 0 < int(updates) <= 100
