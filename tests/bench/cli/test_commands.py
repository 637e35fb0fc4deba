"""The commands: quick help, plans, refusals in one line, resuming, exit codes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.program import application
from bench.launch.executor import Ended, Event, Handle
from bench.plan.trial import Trial
from bench.records.record import failure
from bench.records.running.attempt import Attempt
from tests.bench.cli.commands import MINI, command, save_nothing
from tests.faults.fake_learner import FakeExecutor


@pytest.mark.parametrize("words", [("run_all.py", "--help"), ("-m", "bench", "--help")])
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    done = command("-X", "importtime", *words)
    assert done.returncode == 0
    assert "Usage" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {"torch", "tensorflow", "pandas", "seaborn", "matplotlib", "sklearn", "numpy"}


def test_dry_run_prints_trials_and_time_and_stops(tmp_path: Path) -> None:
    done = command("run_all.py", "quick", "--dry-run", "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert "adding skip_lstm pytorch" in done.stdout
    assert "to run, about" in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["quik"], "error: unknown sweep 'quik'; did you mean 'quick'?"),
        (["quick", "--where", "cel=lstm"], "no trial has the key 'cel'; did you mean 'cell'?"),
        (["quick", "--device", "gpu"], "--device gpu: not one of cpu, cuda"),
        (["nowhere.toml"], "nowhere.toml: there is no such file"),
        (
            ["quick", "--results", "Makefile"],
            "error: Makefile: a file stands in its place; remove it or choose another",
        ),
        (["quick", "--results", "Makefile/in"], "error: Makefile/in: its folder is no folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words: list[str], message: str) -> None:
    done = command("run_all.py", *words, "--dry-run")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_more_workers_than_cores_are_told_in_a_line(tmp_path: Path) -> None:
    words = ("run_all.py", "quick", "--where", "task=adding", "--dry-run", "--results", str(tmp_path))
    done = command(*words, "--workers", "100000")
    assert done.returncode == 0
    assert re.fullmatch(r"--workers 100000: more than the \d+ cores? that this process may use; .+\n", done.stderr)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "error: --device cuda: PyTorch"),
        (["--gpus", "987"], "error: --gpus 987: no trial could use 987: PyTorch"),
        (["--gpus", "987", "--dry-run"], "missing here: --gpus 987: no trial could use 987: PyTorch"),
    ],
)
def test_cuda_without_its_gpu_is_refused_before_anything_runs(tmp_path: Path, more: list[str], message: str) -> None:
    words = ["run_all.py", "quick", "--where", "framework=pytorch", "--where", "task=adding", "--device", "cuda"]
    done = command(*words, "--results", str(tmp_path), *more, CUDA_VISIBLE_DEVICES="")
    if "--dry-run" in more:
        assert done.returncode == 0
        assert message in done.stdout
    else:
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(message)
    assert not list(tmp_path.iterdir())


def test_a_sweep_runs_reports_and_is_not_run_twice(tmp_path: Path) -> None:
    sweep = tmp_path / "mini.toml"
    sweep.write_text(MINI)
    places = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    first = command("run_all.py", str(sweep), *places)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 trials to run" in first.stdout
    assert "2 ok" in first.stdout
    assert "where the time of 2 trials went" in first.stdout
    assert "side by side" not in first.stdout
    page = tmp_path / "reports" / "mini" / "index.html"
    assert first.stdout.rstrip().endswith(f"report: {page}")
    assert page.is_file()
    records = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/trials/*/record.json")}
    assert len(records) == 2

    start = time.perf_counter()
    second = command("run_all.py", str(sweep), *places, "--no-report")
    assert second.returncode == 0
    assert "all 2 trials are done" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in records} == records
    assert time.perf_counter() - start < 60

    renamed = tmp_path / "renamed.toml"
    sweep.rename(renamed)
    third = command("run_all.py", str(renamed), *places, "--no-report")
    assert third.returncode == 0, third.stderr
    assert "all 2 trials are done" in third.stdout
    assert {path.name for path in tmp_path.glob("results/*.json")} == {"mini.json", "renamed.json"}
    sweep = renamed

    compared = command("-m", "bench", "compare", str(sweep), "--results", str(tmp_path / "results"))
    assert compared.returncode == 0, compared.stderr
    assert "Skip GRU" in compared.stdout


def test_a_failed_trial_makes_the_exit_code_1_and_shows_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a loss which is not finite makes it one is asked where trials are launched."""

    class Diverging(FakeExecutor):
        def _learned(self, trial: Trial, attempt: Attempt) -> Callable[[Handle], Event]:
            attempt.write(failure(trial, status="diverged", error="the training loss became nan"))
            return lambda handle: Ended(handle=handle, status="failed", how="failed", error="", conditions=None)

    monkeypatch.setattr("bench.cli.run.make_executor", lambda *_, **__: Diverging())
    monkeypatch.setattr("bench.report.writing.save", save_nothing)
    monkeypatch.setattr("bench.launch.duration.estimate.slowdown", lambda: 1.0)
    sweep = tmp_path / "mini.toml"
    sweep.write_text(MINI)
    places = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    done = CliRunner().invoke(application(), ["run", str(sweep), *places, "--where", "framework=pytorch"])
    assert done.exit_code == 1, done.output
    assert "1 diverged" in done.output
    assert "diverged" in (tmp_path / "reports" / "mini" / "index.html").read_text(encoding="utf-8")


def test_list_and_doctor_say_what_there_is(tmp_path: Path) -> None:
    listed = command("-m", "bench", "list")
    assert listed.returncode == 0, listed.stderr
    for word in ("quick", "adding", "frequency", "digits", "skip_lstm", "tensorflow"):
        assert word in listed.stdout
    doctor = command("-m", "bench", "doctor", "--data", str(tmp_path))
    assert doctor.returncode == 0, doctor.stderr
    for word in ("Python", "torch", "tensorflow", "data: digits"):
        assert word in doctor.stdout
