"""Reports of several sweeps by one command, side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import publishing
from bench.cli.program import application
from bench.cli.publishing import Asked, publish_side_by_side
from bench.errors import UserError
from bench.plan import sweep as sweeps
from bench.plan.sweep import Sweep
from bench.records.store import Store
from tests.bench.cli.commands import MINI, ROOT, command
from tests.bench.report.stored import ok_record, write_run


def written(folder: Path, name: str, *, seeds: int = 1, recorded: bool = True) -> Path:
    """A sweep file, with records of its trials in `results` unless they are not `recorded`."""
    path = folder / f"{name}.toml"
    path.write_text(f"{MINI}seed = {list(range(seeds))}\nbudget_cost = {len(name)}e-3\n", encoding="utf-8")
    for trial in sweeps.load(str(path)).trials if recorded else ():
        write_run(Store(folder / "results"), ok_record(trial, quality=0.1 + 0.01 * trial.seed, update_ratio=0.5))
    return path


def forked(_: str) -> object:
    """Processes that begin as this one is, with what was replaced in it."""
    return get_context("fork")


def places(folder: Path) -> list[str]:
    return ["--results", str(folder / "results"), "--reports", str(folder / "reports")]


def test_each_is_written_and_told_as_a_whole_and_one_that_is_refused_holds_up_none(tmp_path: Path) -> None:
    few, nothing = written(tmp_path, "few"), written(tmp_path, "nothing", recorded=False)
    many = written(tmp_path, "manyof", seeds=3)
    done = command("-m", "bench", "report", str(few), str(nothing), str(many), "--workers", "2", *places(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path}/results: no records of the 2 trials asked for; run the sweep first: " + (
        "python run_all.py nothing\n"
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("report: ")]
    pages = {name: tmp_path / "reports" / name / "index.html" for name in ("few", "manyof")}
    assert sorted(told) == [f"report: {pages['few']}", f"report: {pages['manyof']}"]
    for one in done.stdout.split("report: ")[:2]:
        assert one.count("Skip GRU") >= 2  # the table above each page's path
    for path in (few, many):
        html = pages[path.stem].read_text(encoding="utf-8")
        assert f"python -m bench report {path} {' '.join(places(tmp_path))}<" in html
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"few", "manyof"}


def test_two_that_would_be_one_folder_are_refused(tmp_path: Path) -> None:
    path = str(written(tmp_path, "few"))
    refused = CliRunner().invoke(application(), ["report", path, path, *places(tmp_path)]).exception
    assert isinstance(refused, UserError)
    assert str(refused) == "few: asked for twice, and its reports would be one folder; name it once"
    assert not (tmp_path / "reports").exists()


def test_one_whose_process_is_killed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(publishing, "_publish_and_tell", die)
    monkeypatch.setattr(publishing, "get_context", forked)
    asked = [Asked(sweep=sweeps.load(str(written(tmp_path, name))), command=f"report {name}") for name in ("a", "bb")]
    with pytest.raises(UserError) as refused:
        publish_side_by_side(asked, results=tmp_path / "results", reports=tmp_path / "reports", workers=2)
    said = "the process that wrote this report was killed by signal 9; for it alone: report"
    assert sorted(str(refused.value).splitlines()) == [f"a: {said} a", f"bb: {said} bb"]


def test_what_each_prints_stays_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def print_slowly(sweep: Sweep, **_: object) -> None:
        for part in ("begins", "ends"):
            print(sweep.name, part, flush=True)
            time.sleep(0.2)

    monkeypatch.setattr(publishing, "publish", print_slowly)
    monkeypatch.setattr(publishing, "get_context", forked)
    asked = [Asked(sweep=sweeps.load(str(written(tmp_path, name))), command="") for name in ("a", "bb")]
    publish_side_by_side(asked, results=tmp_path / "results", reports=tmp_path / "reports", workers=2)
    first, second = ["a begins", "a ends"], ["bb begins", "bb ends"]
    assert capfd.readouterr().out.splitlines() in (first + second, second + first)


def test_an_interrupted_command_leaves_nothing_half_written(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, seeds=40) for name in ("a", "bb")]
    words = [sys.executable, "-m", "bench", "report", *map(str, paths), "--workers", "2", *places(tmp_path)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reports, until = tmp_path / "reports", time.monotonic() + 60
    while not list(reports.glob(".*")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert "report: " not in printed
    assert list(reports.iterdir()) == []
