"""`watch`: tells what is done, runs and waits from a results folder, and leaves the folder as it was."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.program import application
from bench.cli.watch import watch
from bench.errors import RecordError
from bench.machine.processes import machine_name
from bench.plan import sweep as sweeps
from bench.records.running.attempt import Attempt
from bench.records.running.leases import GONE_SECONDS, Watch
from bench.records.running.under_way import under_way
from bench.records.store import Store, write_curve
from tests.bench.records.test_leases import Clock, ended_process, held_by, taken
from tests.bench.records.test_records import record

SWEEP = """
[[grid]]
task = "adding"
cell = "skip_gru"
units = 3
framework = "pytorch"
seed = [0, 1, 2, 3]
options.length = 6
protocol = { steps = 40, batch_size = 8, evaluate_every = 2, evaluation_sequences = 16 }
"""


@pytest.fixture
def sweep(tmp_path: Path) -> sweeps.Sweep:
    path = tmp_path / "mini.toml"
    path.write_text(f'description = "four seeds"\n{SWEEP}')
    return sweeps.load(str(path))


def watched(sweep: sweeps.Sweep, results: Path, *, columns: int = 200) -> str:
    words = ["watch", sweep.file, "--results", str(results), "--once"]
    done = CliRunner().invoke(application(), words, env={"COLUMNS": str(columns)})
    if isinstance(done.exception, RecordError):  # what `start` turns into one line
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file and folder with its date and what it holds."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")}


def test_a_look_tells_what_is_done_runs_and_waits_and_changes_nothing(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    results = tmp_path / "results"
    done, failed, running, _ = sweep.trials
    Store(results).write(record(done, total_seconds=600.0))
    Store(results).write(record(failed, status="failed", error="killed"))
    attempt = Attempt(results, lease=taken(results, running.id))
    attempt.start()
    write_curve(attempt.running / "curve.csv", [{"step": 2, "train_loss": 0.5}, {"step": 4, "train_loss": 0.25}])
    before = contents(results)
    told = watched(sweep, results)
    assert contents(results) == before
    (row,) = (line for line in told.splitlines() if running.label in line)
    for word in (machine_name().split()[0], str(os.getpid()), "s ago", "4 / 40", "0.25"):
        assert word in row
    assert "2 done, 1 failed, 1 running, 1 waiting; about " in told
    # Of two trials that take ten minutes each, one began a moment ago.
    assert "20 min 00 s left" in told or "19 min 5" in told
    *_, counts = watched(sweep, results, columns=40).splitlines()
    assert counts.startswith("2 done, ")
    assert counts.endswith(" left by the recorded times"), "in one line, for whoever reads it from a pipe"


def test_a_folder_without_anything_of_the_sweep_is_told(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    assert f"{tmp_path}: nothing of sweep mini yet\n" in watched(sweep, tmp_path)
    Store(tmp_path).write(record(sweep.trials[0]))
    assert "nothing of" not in watched(sweep, tmp_path)


def test_who_waits_for_a_run_is_told_so(
    sweep: sweeps.Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(typer.Exit):
        watch(sweep.file, results=tmp_path, every=2.0)
    told = capsys.readouterr().out
    assert "nothing of sweep mini yet; waits for a run of it, a look every 2 s, Ctrl-C ends" in told


def test_a_trial_on_another_machine_is_told_to_run_there(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, lease=taken(tmp_path, sweep.trials[0].id))
    attempt.start()
    attempt.begin(node="", device="cpu")
    host = machine_name().split()[0]
    assert f"{host} " in watched(sweep, tmp_path)
    attempt.locate(node="node7", device="GPU 1")
    assert f"node7, for {host} " in watched(sweep, tmp_path)


def test_who_is_gone_runs_nothing(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    ended, elsewhere = taken(tmp_path, sweep.trials[0].id), taken(tmp_path, sweep.trials[1].id)
    held_by(ended, process_id=ended_process())
    held_by(elsewhere, machine="far 1 2", process_id=7)
    clock = Clock()
    seen = Watch(clock)
    ids = [trial.id for trial in sweep.trials]
    (far,) = under_way(tmp_path, ids, watch=seen)
    assert (far.trial_id, far.host, far.process_id) == (elsewhere.trial_id, "far", 7)
    clock.seconds += GONE_SECONDS + 1
    assert not under_way(tmp_path, ids, watch=seen)


def test_a_clock_that_is_ahead_is_told_and_not_computed_with(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    lease = taken(tmp_path, sweep.trials[0].id)
    os.utime(lease.path, (time.time() + 3600, time.time() + 3600))
    assert "by a clock that is ahead" in watched(sweep, tmp_path)


def test_a_damaged_curve_is_named_and_no_number_made_of_it(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, lease=taken(tmp_path, sweep.trials[0].id))
    attempt.start()
    (attempt.running / "curve.csv").write_text("step,train_loss\n4")
    told = watched(sweep, tmp_path)
    assert "curve.csv cannot be read" in told
    assert "no recorded time tells of 4" in told


def test_a_folder_that_is_not_there_is_refused_and_not_made(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such folder"):
        watched(sweep, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("what", ["leases", "trials"])
def test_what_another_user_keeps_to_himself_is_told_in_one_line(
    what: str, sweep: sweeps.Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    lease = taken(results, sweep.trials[0].id)
    listed, read = os.listdir, Path.read_bytes
    place = lease.path if what == "leases" else results / "trials"

    def refuse(path: Path) -> None:
        if path == place:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def read_bytes(path: Path) -> bytes:
        refuse(path)
        return read(path)

    def listdir(path: Path) -> list[str]:
        refuse(path)
        return listed(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(RecordError) as raised:
        watched(sweep, results)
    assert str(raised.value) == f"{place}: may not be read; have its owner change its permissions"
