"""Running the benchmarks: a process a framework, one file out of both, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import SpeedError
from bench.report import write_speed_report
from bench.speed import running
from bench.speed.running import run_benchmarks
from impls.contract import BASELINES, ENGINES


def content(framework: str, *, failed: list[str]) -> dict[str, Any]:
    return {"version": "5", "machine_info": {}, "benchmarks": [{"name": framework}], "failed": failed}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What would be run, as pairs of framework and scale; TensorFlow's benchmarks have a failure."""
    runs: list[tuple[str, str]] = []

    def run(framework: str, *, scale: str, device: str, threads: int) -> dict[str, Any]:
        runs.append((framework, scale))
        return content(framework, failed=["one"] if framework == "tensorflow" else [])

    monkeypatch.setattr(running, "_run", run)
    return runs


def measure(results: Path, *frameworks: str, scale: str = "quick") -> bool:
    return run_benchmarks(scale=scale, frameworks=frameworks, device="cpu", threads=1, results=results)


def test_frameworks_run_one_after_the_other_into_one_file(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    assert not measure(tmp_path)
    assert asked == [("pytorch", "quick"), ("tensorflow", "quick")]
    written = json.loads((tmp_path / "speed" / "benchmarks.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in written["benchmarks"]] == ["pytorch", "tensorflow"]
    assert (written["failed"], written["left_out"], written["scale"]) == (["one"], {}, "quick")


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
    assert written["machine_info"].keys() == {
        "processor", "cores", "memory_bytes", "system", "python", "packages", "threads", "project", "blas",
    }  # fmt: skip
    page = write_speed_report(results=tmp_path / "results", reports=tmp_path / "reports")
    assert "Skip GRU" in page.read_text(encoding="utf-8")
