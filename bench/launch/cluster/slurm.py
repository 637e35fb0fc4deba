"""A sweep as an array job of SLURM: each task runs one shard on the shared results folder, as a run of its own.

Twins are of one shard, so that they run on one machine. What keeps the tasks apart is what keeps any two runs apart:
leases. A task that is over its time or preempted stops its trials in order and is queued again; they go on from their
checkpoints.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import ClusterError

INSTALL = "install it with `pip install 'skiprnn-bench[cluster]'` (`make install` does)"
ROOT = Path(__file__).resolve().parents[3]
# In the results folder: what the tasks print, and what they are made of.
FOLDER = "slurm"
# Keys that are not sbatch's: where tasks run, of which `local` is processes of this machine, and how many at once.
CLUSTER, AT_ONCE = "cluster", "array_parallelism"
OWN = (CLUSTER, AT_ONCE)
# How often a task is queued again, and the minutes that one of this machine may take: as long as there are trials.
AGAIN = 1_000_000
LOCAL_MINUTES = 60 * 24 * 365
OPTION = re.compile(r"(?P<key>[a-z][a-z0-9_-]*)=(?P<value>.+)")


@dataclass(frozen=True)
class ShardTask:
    """What one task of the array does: it runs a command to its end.

    Attributes:
        words: the command.
    """

    words: tuple[str, ...]

    def __call__(self) -> int:
        """Runs it; returns its exit code. Raises `RuntimeError` where it could not run its trials."""
        # SLURM tells all processes of a task that its time is nearly over; this one alone is to answer.
        process = subprocess.Popen(self.words, cwd=ROOT, preexec_fn=_ignore_announcement)
        running.append(process.pid)
        _wait(process.pid)
        code = process.wait()
        running.remove(process.pid)
        if code not in (0, 1):  # 1 is a trial that failed, which its record tells
            raise RuntimeError(f"exit code {code}: {shlex.join(self.words)}")
        return code

    def checkpoint(self) -> Any:
        """Stops the trials in order; returns what is to be queued in the place of this task."""
        from submitit.helpers import DelayedSubmission

        for process_id in running:
            os.kill(process_id, signal.SIGTERM)
            _wait(process_id)
        return DelayedSubmission(self)


# The commands of this process: a signal's handler calls `checkpoint`, wherever the call is.
running: list[int] = []


def _ignore_announcement() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _wait(process_id: int) -> None:
    """Until a process has ended. `Popen.wait` holds a lock, which a handler that interrupts it would wait for."""
    with os.fdopen(os.pidfd_open(process_id)) as ended:
        select.select([ended], [], [])


def parsed_options(options: Sequence[str]) -> dict[str, str]:
    """sbatch's options by name, from `KEY=VALUE` each. Raises `ClusterError`."""
    found: dict[str, str] = {}
    for option in options:
        matched = OPTION.fullmatch(option)
        if matched is None:
            raise ClusterError(f"--slurm {option}: write an option of sbatch as KEY=VALUE, such as partition=gpu")
        found[matched["key"].replace("-", "_")] = matched["value"]
    if AT_ONCE in found and not found[AT_ONCE].isdecimal():
        raise ClusterError(f"--slurm {AT_ONCE}={found[AT_ONCE]}: how many tasks at a time is a number")
    return found


def submit(commands: Sequence[Sequence[str]], *, results: Path, name: str, options: Mapping[str, str]) -> list[str]:
    """Submits an array job with a task for each command; returns the tasks' ids.

    Args:
        commands: each the words of one.
        results: the folder of all records, which every node sees.
        name: of the job.
        options: of sbatch, by name; `cluster=local` starts the tasks on this machine instead.

    Raises `ClusterError` where submitit is not installed, SLURM's commands are not here, or sbatch refuses the job.
    """
    try:
        import submitit
        from submitit.core.utils import FailedJobError
    except ModuleNotFoundError:
        raise ClusterError(f"--executor slurm needs the package 'submitit': {INSTALL}") from None
    cluster = options.get(CLUSTER, "slurm")
    if cluster not in ("slurm", "local"):
        raise ClusterError(f"--slurm {CLUSTER}={cluster}: slurm, or local for processes of this machine")
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise ClusterError(
            f"--executor slurm: there is no sbatch here; run it on a machine that submits jobs, or try the same tasks "
            f"as processes of this machine with --slurm {CLUSTER}=local"
        )
    if cluster == "slurm" and "time" not in options:
        raise ClusterError(
            "--executor slurm: give the time of a task, such as --slurm time=4:00:00; what is not done by then is "
            "queued again, and its trials go on"
        )
    executor = submitit.AutoExecutor(
        folder=(results / FOLDER).resolve(), cluster=cluster, slurm_max_num_timeout=AGAIN, local_max_num_timeout=AGAIN
    )
    of_sbatch = {key: value for key, value in options.items() if key not in OWN}
    if cluster == "local":
        executor.update_parameters(timeout_min=LOCAL_MINUTES)
    else:
        executor.update_parameters(name=name, slurm_additional_parameters=of_sbatch)
        if at_once := options.get(AT_ONCE):
            executor.update_parameters(slurm_array_parallelism=int(at_once))
    try:
        with executor.batch():
            jobs = [executor.submit(ShardTask(tuple(words))) for words in commands]
    except FailedJobError as error:
        raise ClusterError(f"sbatch refuses the job: {' '.join(str(error).split())}") from None
    return [job.job_id for job in jobs]
