"""Where trials run is asked for in words that go together, and each executor's options are its own."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.cli.array_job import submit_array_job, words_of_a_task
from bench.cli.executors import OF_ONE, check_options, make_executor
from bench.errors import ClusterError, UserError
from bench.launch.cluster.ray_executor import Needs
from bench.plan.sweep import load
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


def test_memory_is_asked_for_in_gibibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr("bench.launch.cluster.ray_executor.RayExecutor", lambda **given: made.append(given))
    given = LEFT_OUT | {"--memory-per-trial": 1.5, "--cpus-per-trial": 3, "--gpus-per-trial": 0.5}
    make_executor("ray", given, devices=["cuda"], data=Path("d"), timeout=5.0, stall=None)
    (options,) = made
    assert options["needs"] == Needs(cpus=3, gpus=0.5, memory_bytes=1_610_612_736)
    assert (options["timeout_seconds"], options["stall_seconds"], options["devices"]) == (5.0, None, ["cuda"])


@pytest.mark.parametrize(("shards", "told"), [(1, "1 task, 7_1; what"), (2, "2 tasks, 7_1 to 7_2; what")])
def test_it_is_said_what_was_submitted_and_how_to_follow_it(
    shards: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In lines that no terminal breaks: they are to be copied."""
    asked: list[list[str]] = []

    def submit(commands: list[list[str]], **options: Any) -> list[str]:
        asked.extend(commands)
        return [f"7_{number}" for number in range(1, len(commands) + 1)]

    monkeypatch.setattr("bench.launch.cluster.slurm.submit", submit)
    grid = '[[grid]]\ntask = "adding"\ncell = "lstm"\nframework = "pytorch"\nseed = [0, 1, 2, 3, 4, 5]\n'
    (tmp_path / "mine.toml").write_text(f'description = "d"\n{grid}', encoding="utf-8")
    sweep = load(str(tmp_path / "mine.toml"))
    console = Console(file=StringIO(), width=20)
    options: dict[str, Any] = {
        "words": ["run"],
        "shards": shards,
        "results": tmp_path,
        "options": (),
        "console": console,
    }
    submit_array_job(sweep, sweep.trials, typed="mine.toml", **options)
    first, second = console.file.getvalue().splitlines()
    assert first == f"sweep mine: submitted 6 of 6 trials as {told} they print is in {tmp_path / 'slurm'}"
    assert second == (
        "follow them with: python -m bench watch mine.toml; report them with: python -m bench report mine.toml"
    )
    assert asked == [["run", "--shard", f"{number}/{shards}"] for number in range(1, shards + 1)]
    submit_array_job(sweep, (), typed="mine.toml", **options)
    assert console.file.getvalue().splitlines()[2:] == ["sweep mine: nothing to run"]
    assert len(asked) == shards


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
