"""Running the benchmarks: a process a framework, one file out of both, refusals, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.speed import speed
from bench.errors import SpeedError
from bench.report import write_speed_report
from bench.speed import running
from bench.speed.journal import note, noted
from bench.speed.running import INTERRUPTED, Interrupted, Measured, run_benchmarks
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

    def run(framework: str, *, scale: str, device: str, threads: int, budget_seconds: float) -> Measured:
        runs.append((framework, scale))
        budgets.append(budget_seconds)
        return Measured(content(framework, failed=["one"] if framework == "tensorflow" else []))

    monkeypatch.setattr(running, "_run", run)
    return runs


def measure(results: Path, *frameworks: str, scale: str = "quick", **others: Any) -> bool:
    told = {"device": "cpu", "threads": 1} | others
    return run_benchmarks(scale=scale, frameworks=frameworks, results=results, **told)


def test_frameworks_run_one_after_the_other_into_one_file(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    assert not measure(tmp_path)
    assert asked == [("pytorch", "quick"), ("tensorflow", "quick")]
    written = file_of(tmp_path)
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

    def check(framework: str, *, device: str, threads: int, seconds: float | None) -> None:
        if framework == wrong:
            raise SpeedError("gates are not the reference's; no time is taken")

    monkeypatch.setattr(running, "compile_ahead", lambda *args, **told: None)
    monkeypatch.setattr(running, "check_engines", check)
    with pytest.raises(SpeedError, match="no time is taken"):
        measure(tmp_path, device="cuda")
    assert asked == []
    assert measure(tmp_path, "pytorch"), "on the CPU the tests have shown it"


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> dict[str, Measured]:
    """What becomes of each framework's run; as a start, all of them measure everything."""
    found = {framework: Measured(content(framework, failed=[])) for framework in ("pytorch", "tensorflow")}
    monkeypatch.setattr(running, "_run", lambda framework, **options: found[framework])
    return found


def file_of(results: Path, name: str = "benchmarks.json") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((results / "speed" / name).read_text(encoding="utf-8"))
    return told


@pytest.mark.parametrize("dies", ["pytorch", "tensorflow"])
@pytest.mark.parametrize("measured", [True, False])
def test_what_was_measured_outlives_a_framework_that_dies(
    tmp_path: Path, ends: dict[str, Measured], dies: str, measured: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    ends[dies] = ends[dies]._replace(problem="it ended with pytest's exit code -11")
    if not measured:
        ends[dies] = ends[dies]._replace(content=None)
    assert not measure(tmp_path)
    names = [entry["name"] for entry in file_of(tmp_path)["benchmarks"]]
    assert names == [name for name in ends if measured or name != dies]
    assert file_of(tmp_path)["cut"][f"the rest of {dies}"] == "it ended with pytest's exit code -11"
    assert f"{dies}: not all benchmarks ran: it ended with pytest's exit code -11" in capsys.readouterr().err


def test_where_nothing_was_measured_the_file_of_before_stays(tmp_path: Path, ends: dict[str, Measured]) -> None:
    measure(tmp_path)
    before = file_of(tmp_path)
    for framework in ends:
        ends[framework] = Measured(None, "it ended with pytest's exit code 3")
    with pytest.raises(SpeedError, match=r"no benchmark was measured: pytorch: .*code 3; tensorflow: .*code 3"):
        measure(tmp_path)
    ends["pytorch"] = Measured(None, INTERRUPTED)
    with pytest.raises(KeyboardInterrupt) as raised:
        measure(tmp_path)
    assert not isinstance(raised.value, Interrupted)
    assert file_of(tmp_path) == before


def test_an_interrupt_keeps_what_was_measured_and_begins_nothing_more(
    tmp_path: Path, ends: dict[str, Measured]
) -> None:
    ends["pytorch"] = ends["pytorch"]._replace(problem=INTERRUPTED)
    with pytest.raises(Interrupted):
        measure(tmp_path)
    assert [entry["name"] for entry in file_of(tmp_path)["benchmarks"]] == ["pytorch"]
    told = {"the rest of pytorch": "it was interrupted", "tensorflow": "the run was ended before it"}
    assert file_of(tmp_path)["cut"].items() >= told.items()


def test_the_last_run_that_came_to_its_end_stays_until_another_one_does(
    tmp_path: Path, ends: dict[str, Measured]
) -> None:
    measure(tmp_path)
    whole = file_of(tmp_path)
    right = ends["tensorflow"]
    ends["tensorflow"] = Measured(None, "it ended with pytest's exit code 3")
    for _ in range(2):  # the second finds a file that is not whole
        measure(tmp_path)
        assert file_of(tmp_path) != whole
        assert file_of(tmp_path, "benchmarks-before.json") == whole
    ends["tensorflow"] = right
    measure(tmp_path)
    assert file_of(tmp_path) == whole
    assert not (tmp_path / "speed" / "benchmarks-before.json").exists()


def test_each_framework_is_written_before_the_next_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(framework: str, **options: Any) -> Measured:
        if framework == "tensorflow":
            assert [entry["name"] for entry in file_of(tmp_path)["benchmarks"]] == ["pytorch"]
        return Measured(content(framework, failed=[]))

    monkeypatch.setattr(running, "_run", run)
    assert measure(tmp_path)


def test_a_journal_is_read_up_to_a_line_that_was_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    assert noted(journal) is None
    note(journal, {"cut": {"a": "no card"}})
    assert noted(journal) is None, "nothing was measured"
    note(journal, {"version": "5", "benchmarks": [{"name": "one"}]})
    note(journal, {"failed": ["two"]})
    note(journal, {"benchmarks": [{"name": "three"}]})
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"benchmarks": [{"na')
    assert noted(journal) == {
        "version": "5", "benchmarks": [{"name": "one"}, {"name": "three"}], "failed": ["two"], "cut": {"a": "no card"},
    }  # fmt: skip


# A benchmark of a framework that is noted, and one that never ends.
HANGS = """
import os, subprocess, sys, time
from pathlib import Path
from bench.speed.journal import note
journal, told = Path(sys.argv[1]), Path(sys.argv[2])
note(journal, {"benchmarks": [{"name": "one"}]})
child = subprocess.Popen(["sleep", "600"])
told.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
told.with_suffix(".new").rename(told)
time.sleep(600)
"""


def gone(process: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("ended_by", ["time", "signal"])
def test_a_process_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_by: str
) -> None:
    """And what it had noted is kept."""
    told = tmp_path / "told"
    right = running._ended

    def ended(command: list[str], variables: Any, *, seconds: float | None) -> int | None:
        (journal,) = (word.partition("=")[2] for word in command if word.startswith("--speed-journal="))
        return right([sys.executable, "-c", HANGS, journal, str(told)], variables, seconds=seconds)

    def wait(process: Any, timeout: float | None = None) -> int:
        while not told.exists():
            time.sleep(0.01)
        monkeypatch.setattr(subprocess.Popen, "wait", as_ever)
        if ended_by == "signal":
            raise KeyboardInterrupt
        raise subprocess.TimeoutExpired("", timeout or 0)

    as_ever = subprocess.Popen.wait
    monkeypatch.setattr(running, "_ended", ended)
    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    found = running._run("pytorch", scale="tiny", device="cpu", threads=1, budget_seconds=3.0)
    assert found.content is not None
    assert found.content["benchmarks"] == [{"name": "one"}]
    assert found.problem == {"time": "it was ended after 63 s, a minute past its time", "signal": INTERRUPTED}[ended_by]
    own, started = map(int, told.read_text(encoding="utf-8").split())
    assert gone(own)
    for _ in range(1000):  # killed, it is about to end
        if gone(started):
            return
        time.sleep(0.01)
    pytest.fail("it outlasts whoever started it")


def test_engines_that_are_not_compared_in_time_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_ended", lambda *args, **options: None)
    with pytest.raises(SpeedError, match="pytorch on cuda: the engines were not compared within 90 s; raise --minutes"):
        running.check_engines("pytorch", device="cuda", seconds=90.0)


def test_engines_are_compared_where_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with unlike cards the first is another one by another count."""
    started: list[dict[str, str]] = []

    def ended(command: list[str], variables: dict[str, str], **options: Any) -> int:
        started.append(variables)
        if "stdout" in options:  # what was found wrong is read from there
            options["stdout"].write("[]\n")
        return 0

    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    monkeypatch.setattr(running, "_ended", ended)
    monkeypatch.setattr(running, "compile_ahead", lambda *args, **told: None)
    monkeypatch.setattr(running.devices, "check", lambda needed: None)
    with pytest.raises(SpeedError, match="no benchmark was measured"):
        measure(Path("nowhere"), "pytorch", device="cuda", threads=3)
    compared, timed = started
    assert compared == timed
    assert (timed["CUDA_DEVICE_ORDER"], timed["OMP_NUM_THREADS"]) == ("PCI_BUS_ID", "3")


def test_on_a_gpu_kernels_are_compiled_before_they_are_compared(
    tmp_path: Path, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's, within the budget; XLA's programs are a batch's and a length's."""
    steps: list[str] = []
    monkeypatch.setattr(running.devices, "check", lambda needed: None)
    monkeypatch.setattr(running, "check_engines", lambda framework, **told: steps.append(f"compare {framework}"))

    def compile_ahead(framework: str, **told: Any) -> None:
        steps.append(f"compile {framework} for {told['scale']}")
        assert 30.0 < told["seconds"] <= 45.0, "what hangs there leaves half of the time"

    monkeypatch.setattr(running, "compile_ahead", compile_ahead)
    measure(tmp_path, device="cuda", budget_seconds=90.0)
    assert steps[0].startswith("compile pytorch")
    assert [step for step in steps if step.startswith("compile")] == steps[:1]
    assert len(steps) == 3
    steps.clear()
    measure(tmp_path, device="cpu")
    assert steps == []


@pytest.mark.slow
def test_engines_are_compared_in_a_process_of_their_own() -> None:
    running.check_engines("pytorch", device="cpu")
    with pytest.raises(SpeedError, match=r"pytorch on nowhere: the engines could not be compared: .*nowhere"):
        running.check_engines("pytorch", device="nowhere")


@pytest.mark.slow
def test_a_budget_cuts_what_is_least_important_and_says_so(tmp_path: Path) -> None:
    """Of a budget that is used at once the first benchmark is left, which has begun."""
    assert measure(tmp_path / "results", "pytorch", scale="tiny", budget_seconds=1e-6)
    written = file_of(tmp_path / "results")
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
    written = file_of(tmp_path)
    assert written["left_out"] == {"tensorflow": "the package 'tensorflow' is not installed"}
    with pytest.raises(SpeedError, match="--framework tensorflow: the package 'tensorflow' is not installed"):
        measure(tmp_path, "tensorflow")


def test_an_unknown_framework_is_refused(tmp_path: Path, asked: list[tuple[str, str]]) -> None:
    with pytest.raises(SpeedError, match="--framework torhc: not one of pytorch, tensorflow"):
        measure(tmp_path, "torhc")
    assert asked == []


@pytest.mark.parametrize("framework", ["pytorch"])
def test_benchmarks_are_measured_and_reported(
    device: str, framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, which knows no scale as small as this one."""
    monkeypatch.setattr(running, "run_benchmarks", lambda **told: run_benchmarks(**told | {"scale": "tiny"}))
    application = typer.Typer()
    application.command()(speed)
    places = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    done = CliRunner().invoke(application, ["--framework", framework, "--device", device, "--threads", "1", *places])
    assert done.exit_code == 0, done.output
    written = file_of(tmp_path / "results")
    assert (written["failed"], written["cut"]) == ([], {})
    asked = grid(framework, scale=SCALES["tiny"], training=None, device=device, threads=1)
    measured = [entry["extra_info"] for entry in written["benchmarks"]]
    assert sorted(map(of_workload, measured)) == sorted(of_workload(asdict(workload)) for workload in asked)
    assert {told["subject"] for told in measured} == {*ENGINES, *BASELINES[framework]}
    assert {told["device"] for told in measured} == {device}
    ran = {(told["subject"], told["implementation"]) for told in measured}
    fast = "kernels" if device == "cpu" else "tiles"
    assert ran == {("reference", "reference"), ("fast", fast), ("native", ""), ("products", "")}
    assert all(entry["stats"]["data"] for entry in written["benchmarks"])
    of_card = {"gpu", "gpu_memory", "gpu_capability", "gpu_driver", "libraries"}
    assert written["machine_info"].keys() - {"variables"} - (of_card if device == "cuda" else set()) == {
        "processor", "cores", "memory_bytes", "system", "python", "packages", "threads", "project", "blas",
    }  # fmt: skip
    assert ("gpu" in written["machine_info"]) == (device == "cuda")
    (page,) = (tmp_path / "reports").rglob("index.html")
    assert "Skip GRU" in page.read_text(encoding="utf-8")
    assert f"fast ({fast})" in page.read_text(encoding="utf-8")


def of_workload(told: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a workload of a scale from another."""
    return tuple(str(told[name]) for name in ("training", "subject", "cell", "updates_every"))


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


@pytest.mark.parametrize("measured", [True, False])
def test_an_interrupted_command_reports_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: bool
) -> None:
    """SIGTERM interrupts it as Ctrl-C does; what an earlier run measured is not reported anew."""
    reported = []

    def run(**options: Any) -> bool:
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        raise Interrupted if measured else KeyboardInterrupt

    monkeypatch.setattr(running, "run_benchmarks", run)
    monkeypatch.setattr("bench.report.write_speed_report", lambda **options: reported.append("page"))
    monkeypatch.setattr("bench.report.print_speed", lambda **options: reported.append("terminal"))
    application = typer.Typer()
    application.command()(speed)
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "benchmarks-before.json").write_text("{}", encoding="utf-8")
    outcome = CliRunner().invoke(application, ["--results", str(tmp_path)])
    assert outcome.exit_code == 130
    assert reported == (["page", "terminal"] if measured else [])
    if measured:
        assert "benchmarks-before.json: what an earlier run measured, since this one did not" in outcome.output
