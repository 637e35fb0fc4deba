"""Running the benchmarks: a process a framework, one file out of both, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.speed import speed
from bench.errors import SpeedError
from bench.report import write_speed_report
from bench.speed import running
from bench.speed.running import run_benchmarks
from bench.speed.scales import SCALES, grid
from impls.contract import BASELINES, ENGINES


def content(framework: str, *, failed: list[str]) -> dict[str, Any]:
    told = {"machine_info": {"libraries": {framework: "CUDA"}}, "cut": {f"{framework}, tf32": "no card"}}
    return {"version": "5", "benchmarks": [{"name": framework}], "failed": failed} | told


@pytest.fixture
def budgets() -> list[float]:
    """The seconds that each framework is given; 0 is as long as it takes."""
    return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, budgets: list[float]) -> list[tuple[str, str]]:
    """What would be run, as pairs of framework and scale; TensorFlow's benchmarks have a failure."""
    runs: list[tuple[str, str]] = []

    def run(framework: str, *, scale: str, device: str, threads: int, budget_seconds: float) -> dict[str, Any]:
        runs.append((framework, scale))
        budgets.append(budget_seconds)
        return content(framework, failed=["one"] if framework == "tensorflow" else [])

    monkeypatch.setattr(running, "_run", run)
    return runs


def measure(results: Path, *frameworks: str, scale: str = "quick", **others: Any) -> bool:
    told = {"device": "cpu", "threads": 1} | others
    return run_benchmarks(scale=scale, frameworks=frameworks, results=results, **told)


def test_frameworks_run_one_after_the_other_into_one_file(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    assert not measure(tmp_path)
    assert asked == [("pytorch", "quick"), ("tensorflow", "quick")]
    written = json.loads((tmp_path / "speed" / "benchmarks.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in written["benchmarks"]] == ["pytorch", "tensorflow"]
    assert (written["failed"], written["left_out"], written["scale"]) == (["one"], {}, "quick")
    assert written["cut"] == {"pytorch, tf32": "no card", "tensorflow, tf32": "no card"}
    assert written["machine_info"]["libraries"] == {"pytorch": "CUDA", "tensorflow": "CUDA"}


def test_frameworks_share_a_budget_and_without_one_take_their_time(
    tmp_path: Path, asked: list[tuple[str, str]], budgets: list[float]
) -> None:
    measure(tmp_path)
    assert budgets == [0.0, 0.0]
    measure(tmp_path, budget_seconds=1000.0)
    assert budgets[2] == pytest.approx(500, abs=5)
    assert budgets[3] == pytest.approx(1000, abs=5), "the second has what the first left"


@pytest.mark.parametrize("wrong", ["pytorch", "tensorflow"])
def test_on_a_gpu_no_time_is_taken_of_a_wrong_engine(
    tmp_path: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr(running.devices, "check", lambda needed: None)

    def check(framework: str, *, device: str) -> None:
        if framework == wrong:
            raise SpeedError("gates are not the reference's; no time is taken")

    monkeypatch.setattr(running, "check_engines", check)
    with pytest.raises(SpeedError, match="no time is taken"):
        measure(tmp_path, device="cuda")
    assert asked == []
    assert measure(tmp_path, "pytorch"), "on the CPU the tests have shown it"


@pytest.mark.slow
def test_engines_are_compared_in_a_process_of_their_own() -> None:
    running.check_engines("pytorch", device="cpu")
    with pytest.raises(SpeedError, match=r"pytorch on nowhere: the engines could not be compared: .*nowhere"):
        running.check_engines("pytorch", device="nowhere")


@pytest.mark.slow
def test_a_budget_cuts_what_is_least_important_and_says_so(tmp_path: Path) -> None:
    """Of a budget that is used at once the first benchmark is left, which has begun."""
    assert measure(tmp_path / "results", "pytorch", scale="tiny", budget_seconds=1e-6)
    written = json.loads((tmp_path / "results" / "speed" / "benchmarks.json").read_text(encoding="utf-8"))
    assert "commit_info" not in written, "it names the folder that the repository lies in"
    (only,) = written["benchmarks"]
    assert (only["extra_info"]["subject"], only["extra_info"]["training"]) == ("native", True)
    assert only["extra_info"]["precision"] == "float32"
    everything = grid("pytorch", scale=SCALES["tiny"], training=None)
    steps = {True: "training", False: "inference"}
    assert list(written["cut"]) == [f"{steps[workload.training]}-{workload}" for workload in everything[1:]]
    assert set(written["cut"].values()) == {"the budget of 0 s was used"}
    page = write_speed_report(results=tmp_path / "results", reports=tmp_path / "reports")
    told = "Not measured, the budget of 0 s was used: training-pytorch-products-lstm"
    assert told in page.read_text(encoding="utf-8")


def test_one_framework_alone_leaves_the_other_out_and_says_so(
    tmp_path: Path, asked: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure(tmp_path, "pytorch")
    assert asked == [("pytorch", "quick")]
    assert "tensorflow is left out: not asked for" in capsys.readouterr().err


def test_a_missing_framework_is_left_out_and_said(
    tmp_path: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "installed", lambda framework: framework == "pytorch")
    assert measure(tmp_path)
    written = json.loads((tmp_path / "speed" / "benchmarks.json").read_text(encoding="utf-8"))
    assert written["left_out"] == {"tensorflow": "the package 'tensorflow' is not installed"}
    with pytest.raises(SpeedError, match="--framework tensorflow: the package 'tensorflow' is not installed"):
        measure(tmp_path, "tensorflow")


def test_an_unknown_framework_is_refused(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    with pytest.raises(SpeedError, match="--framework torhc: not one of pytorch, tensorflow"):
        measure(tmp_path, "torhc")
    assert asked == []


def test_benchmarks_are_measured_and_reported(tmp_path: Path) -> None:
    assert measure(tmp_path / "results", "pytorch", scale="tiny")
    written = json.loads((tmp_path / "results" / "speed" / "benchmarks.json").read_text(encoding="utf-8"))
    assert written["failed"] == []
    assert {entry["extra_info"]["subject"] for entry in written["benchmarks"]} == {*ENGINES, *BASELINES["pytorch"]}
    assert all(entry["stats"]["data"] for entry in written["benchmarks"])
    assert written["machine_info"].keys() - {"variables"} == {
        "processor", "cores", "memory_bytes", "system", "python", "packages", "threads", "project", "blas",
    }  # fmt: skip
    page = write_speed_report(results=tmp_path / "results", reports=tmp_path / "reports")
    assert "Skip GRU" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "scale", "device", "seconds"),
    [
        ([], "full", "cpu", None),
        (["--quick"], "quick", "cpu", None),
        (["--minutes", "2"], "full", "cpu", 120.0),
        (["--device", "cuda"], "gpu", "cuda", 420.0),
        (["--device", "cuda", "--quick", "--minutes", "1"], "quick", "cuda", 60.0),
    ],
)
def test_the_command_has_a_scale_and_a_budget_of_its_own_on_a_gpu(
    arguments: list[str], scale: str, device: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run(**options: Any) -> bool:
        asked.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_benchmarks", run)
    application = typer.Typer()
    application.command()(speed)
    assert CliRunner().invoke(application, arguments).exit_code == 130
    assert (asked["scale"], asked["device"], asked["budget_seconds"]) == (scale, device, seconds)
