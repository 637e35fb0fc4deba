"""Where trials run is asked for in words that go together, and each executor's options are its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli.array_job import words_of_a_task
from bench.cli.executors import OF_ONE, check_options
from bench.errors import ClusterError, UserError
from tests.bench.cli.commands import MINI, command

LEFT_OUT: dict[str, Any] = {name: value for options in OF_ONE.values() for name, value in options.items()}


@pytest.mark.parametrize(
    ("executor", "given", "message"),
    [
        ("rya", {}, "--executor rya: not one of local, ray, slurm; did you mean 'ray'?"),
        ("local", {"--address": "here:6379"}, "--address goes with --executor ray, and this is local"),
        ("local", {"--shards": 4}, "--shards goes with --executor slurm, and this is local"),
        ("ray", {"--workers": 2}, "--workers goes with --executor local, and this is ray"),
        ("ray", {"--slurm": ["time=5"]}, "--slurm goes with --executor slurm, and this is ray"),
        ("slurm", {"--gpus-per-trial": 0.5}, "--gpus-per-trial goes with --executor ray, and this is slurm"),
    ],
)
def test_an_option_of_another_executor_is_refused(executor: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError) as raised:
        check_options(executor, LEFT_OUT | given)
    assert str(raised.value) == message


@pytest.mark.parametrize("executor", ["local", "slurm"])
def test_trials_at_a_time_on_a_gpu_need_one_that_is_named(executor: str) -> None:
    with pytest.raises(UserError, match="--trials-per-gpu goes with --gpus"):
        check_options(executor, LEFT_OUT | {"--trials-per-gpu": 4})
    check_options(executor, LEFT_OUT | {"--trials-per-gpu": 4, "--gpus": "0"})


def test_options_that_go_together_pass() -> None:
    check_options("local", LEFT_OUT | {"--workers": 2})
    check_options("ray", LEFT_OUT | {"--address": "here:6379", "--cpus-per-trial": 4})
    check_options("slurm", LEFT_OUT | {"--shards": 16, "--workers": 2, "--gpus": "0,1"})


def test_a_task_of_an_array_job_is_told_all_that_this_run_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    also = {"--device": "cuda", "--timeout": None, "--workers": 2}
    words = words_of_a_task("mine.toml", where=["seed=1", "cell=lstm"], also=also, results=Path("r"), data=Path("d"))
    assert words == [
        *(sys.executable, "-m", "bench", "run", str(tmp_path / "mine.toml"), "--no-report"),
        *("--results", str(tmp_path / "r"), "--data", str(tmp_path / "d")),
        *("--where", "seed=1", "--where", "cell=lstm", "--device", "cuda", "--workers", "2"),
    ]
    assert words_of_a_task("quick", where=(), also={}, results=Path("r"), data=Path("d"))[4] == "quick"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--executor", "slurm", "--shard", "1/2"], "--executor slurm deals the trials out itself: leave --trial and"),
        (["--executor", "ray", "--gpus-per-trial", "1.5"], "--gpus-per-trial 1.5: a part of one GPU, or whole ones"),
    ],
)
def test_a_run_is_refused_in_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(MINI)
    done = command("run_all.py", str(tmp_path / "mini.toml"), "--results", str(tmp_path / "results"), *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert not (tmp_path / "results").exists()
