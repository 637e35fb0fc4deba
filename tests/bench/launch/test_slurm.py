"""A sweep as an array job: a shard a task, stopped in order when a task's time is over, and queued again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.errors import ClusterError
from bench.launch.cluster import slurm
from bench.launch.cluster.slurm import ShardTask, parsed_options, submit
from bench.plan import sweep as sweeps
from bench.plan.shard import Shard
from bench.records.running.leases import leased_trials
from bench.records.store import Store
from bench.records.upkeep.verify import findings
from tests.bench.cli.commands import MINI, command
from tests.bench.launch.test_launch import wait_for

# Says that it runs, what it does with the announcement, and ends in order when it is asked to.
ATTENTIVE = """
import os, signal, sys, time
ignored = signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
signal.signal(signal.SIGTERM, lambda number, frame: (open({ended!r}, "w").write(str(ignored)), sys.exit(130)))
open({begun!r}, "w").write("")
while True: time.sleep(0.05)
"""


def test_a_task_runs_its_command_to_its_end(tmp_path: Path) -> None:
    said = tmp_path / "said"
    assert ShardTask((sys.executable, "-c", f"open({str(said)!r}, 'w'); raise SystemExit(1)"))() == 1
    assert said.exists()
    with pytest.raises(RuntimeError, match=r"exit code 2: .* -c "):
        ShardTask((sys.executable, "-c", "raise SystemExit(2)"))()


def test_a_task_whose_time_is_over_stops_its_command_in_order_and_is_queued_again(tmp_path: Path) -> None:
    """As submitit does it: its handler of the announcement asks the task for a checkpoint, and raises."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    words = (sys.executable, "-c", ATTENTIVE.format(begun=str(begun), ended=str(ended)))
    program = f"""
import signal
from bench.launch.cluster.slurm import ShardTask
task = ShardTask({words!r})
def announced(number, frame):
    again = task.checkpoint()
    raise SystemExit(int(again.function != task))
signal.signal(signal.SIGUSR2, announced)
task()
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=slurm.ROOT, start_new_session=True)
    try:
        wait_for(begun.exists, seconds=120)
        os.killpg(process.pid, signal.SIGUSR2)  # all processes of a task hear it
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert ended.read_text() == "True", "the command does not hear the announcement, and ends as it is asked to"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["partition"], "--slurm partition: write an option of sbatch as KEY=VALUE, such as partition=gpu"),
        (["array_parallelism=x"], "--slurm array_parallelism=x: how many tasks at a time is a number"),
        (["cluster=moon"], "--slurm cluster=moon: slurm, or local for processes of this machine"),
        (["partition=gpu"], "--executor slurm: give the time of a task, such as --slurm time=4:00:00"),
        (["time=5"], "--executor slurm: there is no sbatch here; "),
    ],
)
def test_what_cannot_be_submitted_is_one_line(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = None if options == ["time=5"] else "/usr/bin/sbatch"
    monkeypatch.setattr("bench.launch.cluster.slurm.shutil.which", lambda name: sbatch)
    with pytest.raises(ClusterError) as raised:
        submit([["true"]], results=tmp_path, name="mini", options=parsed_options(options))
    assert str(raised.value).startswith(message)
    assert len(str(raised.value).splitlines()) == 1


def test_options_are_sbatchs_own() -> None:
    assert parsed_options(["time=1:00:00", "gpus-per-node=a100:1"]) == {"time": "1:00:00", "gpus_per_node": "a100:1"}


def runs_in(folder: str, process: psutil.Process) -> bool:
    try:
        return folder in process.cmdline()
    except psutil.Error:
        return False


@pytest.mark.slow
def test_the_tasks_of_an_array_job_run_the_sweep(tmp_path: Path) -> None:
    """As processes of this machine, by the same way."""
    (tmp_path / "mini.toml").write_text(MINI.replace("units = 3", "units = 3\nseed = [0, 1, 2, 3]"))
    sweep = sweeps.load(str(tmp_path / "mini.toml"))
    words = ["run_all.py", str(tmp_path / "mini.toml"), "--results", str(tmp_path / "results")]
    words += ["--executor", "slurm", "--shards", "2", "--slurm", "cluster=local", "--where", "framework=pytorch"]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sweep mini: submitted 4 of 4 trials as 2 tasks, "), done.stdout
    store, asked = Store(tmp_path / "results"), [one for one in sweep.trials if one.framework == "pytorch"]
    wait_for(lambda: not store.missing(asked) and not leased_trials(tmp_path / "results"), seconds=500)
    for one in asked:
        record = store.read(one.id)
        assert record is not None
        (number,) = [number for number in (1, 2) if Shard(number=number, of=2).holds(one)]
        assert f"--shard {number}/2" in record.command
    folder = str(tmp_path / "results" / "slurm")
    wait_for(lambda: not [one for one in psutil.process_iter() if runs_in(folder, one)], seconds=60)
    assert findings(tmp_path / "results") == []
    again = command(*words)
    assert again.stdout == "sweep mini: nothing to run\n"
