"""The command `trial`: one trial of a folder, by whatever can run a command."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.launch.process.alone import run_alone
from bench.launch.process.heartbeat import Heartbeat, read_beat
from bench.launch.process.recorded import ENDED, FAILED
from bench.plan.trial import Trial, build_trial
from bench.records.running.lone_folder import LoneFolder, held_alone, record_in, write_trial
from bench.records.store import Store
from tests.bench.cli.commands import ROOT, command
from tests.bench.disks import failing
from tests.bench.launch.test_launch import Watcher, run, wait_for
from tests.bench.train.test_resumption import left, numbers


def trial(steps: int, **changes: Any) -> Trial:
    content: dict[str, Any] = {"task": "adding", "cell": "skip_lstm", "units": 3, "options": {"length": 4}}
    protocol = {"steps": steps, "batch_size": 4, "evaluate_every": 5, "evaluation_sequences": 8}
    return build_trial(content | {"framework": "pytorch", "protocol": protocol} | changes, where="test")


def begin(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The command on a folder, once its trial has written a checkpoint."""
    words = [sys.executable, "-m", "bench", "trial", str(folder), *options]
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_for(lambda: list(folder.glob("checkpoint-*.npz")), seconds=120)
    except BaseException:
        process.kill()
        raise
    return process


def test_it_comes_to_the_numbers_of_a_sweep_and_is_not_run_twice(tmp_path: Path) -> None:
    made, store = trial(steps=7), Store(tmp_path / "results")
    folder = tmp_path / "any name"
    folder.mkdir()
    write_trial(folder, made)
    done = command("-m", "bench", "trial", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"ok     {made.id}  {made.label}: mean_squared_error ")
    run([made], store, Watcher())
    alone, of_sweep = record_in(folder, trial_id=made.id), store.read(made.id)
    assert alone is not None
    assert of_sweep is not None
    assert left(folder) == left(store.folder_of(made.id))
    assert numbers(alone) == numbers(of_sweep.model_copy(update={"command": alone.command}))
    assert alone.command == f"python -m bench trial '{folder}'"
    beat = read_beat(folder)
    assert beat is not None
    assert beat.progress is not None
    assert (beat.progress.step, beat.progress.steps) == (7, 7)
    again = command("-m", "bench", "trial", str(folder))
    assert again.returncode == 0
    assert ", which was run before: " in again.stdout
    assert record_in(folder, trial_id=made.id) == alone


def test_stopped_it_goes_on_where_it_was(tmp_path: Path) -> None:
    made = trial(steps=1_000_000)
    write_trial(tmp_path, made)
    process = begin(tmp_path)
    try:
        other = command("-m", "bench", "trial", str(tmp_path))
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.communicate()
    assert other.returncode == 2
    assert other.stderr == f"error: {tmp_path}: another process runs its trial; wait for it, or stop it\n"
    assert process.returncode == 143, said
    assert said.endswith(": the same command goes on from its last checkpoint\n")
    assert record_in(tmp_path, trial_id=made.id) is None
    before = set(tmp_path.glob("checkpoint-*.npz"))
    process = begin(tmp_path)
    try:
        wait_for(lambda: set(tmp_path.glob("checkpoint-*.npz")) - before, seconds=60)
        assert "the trial goes on after step" in (tmp_path / "log.txt").read_text()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["while the record is written", "while the last beat is"])
@pytest.mark.parametrize("status", ["ok", "failed"])
def test_asked_to_end_when_there_is_a_record_it_tells_of_that(
    status: str, when: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trial(steps=3)
    write_trial(tmp_path, made)
    if status == "failed":
        monkeypatch.setattr("bench.launch.process.alone.prepare_beside_others", lambda trial, data: 1 / 0)
    owner, name = (LoneFolder, "write") if when == "while the record is written" else (Heartbeat, "__exit__")
    do = getattr(owner, name)

    def do_and_be_asked(*arguments: Any) -> Any:
        done = do(*arguments)
        signal.raise_signal(number)
        return done

    monkeypatch.setattr(owner, name, do_and_be_asked)
    code, said = run_alone(tmp_path, data=tmp_path / "data", threads=1, command="")
    assert (code, said.split()[:2]) == (ENDED if status == "ok" else FAILED, [status, made.id])
    assert not list(tmp_path.glob("checkpoint-*.npz"))
    assert not (tmp_path / "attempts.json").exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_keeps_nobody_from_running_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trial(tmp_path, trial(steps=3))
    monkeypatch.setattr("fcntl.lockf", failing(number))
    with held_alone(tmp_path):
        pass
    monkeypatch.setattr("fcntl.lockf", failing(errno.EBADF))
    with pytest.raises(OSError, match="Bad file"), held_alone(tmp_path):
        pass


@pytest.mark.slow
def test_attended_it_ends_with_whoever_holds_its_standard_input(tmp_path: Path) -> None:
    made = trial(steps=1_000_000)
    write_trial(tmp_path, made)
    process = begin(tmp_path, "--attended")
    try:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143, said


def test_what_the_trial_lacks_is_recorded(tmp_path: Path) -> None:
    made = trial(steps=5, task="ucf101", options={})
    write_trial(tmp_path, made)
    done = command("-m", "bench", "trial", str(tmp_path), "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"failed {made.id}")
    record = record_in(tmp_path, trial_id=made.id)
    assert record is not None
    assert record.status == "failed"
    assert record.error.startswith("DataError: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file; it holds a trial's fields, as 'trial' does in any record"),
        ("{", "cannot be read as JSON"),
        ("[]", "holds no trial, which is an object with the keys task, cell, framework and others"),
        (json.dumps({"task": "adding", "cell": "lstmm", "framework": "pytorch"}), "did you mean 'lstm'?"),
    ],
)
def test_a_folder_without_a_trial_is_one_line(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "trial.json").write_text(content)
    done = command("-m", "bench", "trial", str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'trial.json'}: ")
    assert message in line
