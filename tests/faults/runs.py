"""Runs of a round's sweeps as commands of their own, and what can be done to their processes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from bench.machine import processes
from bench.records.running import leases

ROOT = Path(__file__).resolve().parents[2]
# Marks every process of a round, so that none is overlooked in the end.
MARK = "SKIPRNN_FAULTS"
GONE_SECONDS = 4.0
# The longest that a trial may show no sign of life where the disk is slow: far more than any of its answers takes, and
# than a machine takes that does much beside.
STALL_SECONDS = 120
SLOW_DISK = Path(__file__).parent / "slow_disk"
# With this in PYTHONPATH trials learn nothing.
INSTEAD = Path(__file__).with_name("instead")
LEARNS_NOTHING = {"PYTHONPATH": os.pathsep.join([str(INSTEAD), str(ROOT)])}
# Of a file, where the disk cannot be a small one: less than a checkpoint has.
LARGEST_BYTES = 2048


class Run:
    """A run of a sweep, the leader of a process group, which believes itself on a machine of its own.

    Args:
        sweep: its file.
        results, home: the folder of records; that of the round, for what is printed and what is temporary.
        machine: the name of its machine.
        mark: of the round.
        executor: the options that say where its trials run.
        environment: what that needs beside what this process has.
        limited: whether its files are, in size.
        slow: the seed of a disk that is slow, if its is.
    """

    def __init__(
        self,
        sweep: Path,
        *,
        results: Path,
        home: Path,
        machine: str,
        mark: str,
        executor: Sequence[str] = ("--workers", "2"),
        environment: Mapping[str, str] | None = None,
        limited: bool = False,
        slow: str = "",
    ) -> None:
        self.output = home / f"output-{time.monotonic_ns()}.txt"
        told = {processes.VARIABLE: machine, leases.VARIABLE: f"{GONE_SECONDS:g}", MARK: mark}
        told |= {"TMPDIR": str(home / "tmp"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment = environment or {}
        words = [sys.executable, "run_all.py", sweep, "--results", results, "--no-report", *executor]
        if slow:
            paths = [environment["PYTHONPATH"]] if "PYTHONPATH" in environment else []
            told |= {"PYTHONPATH": os.pathsep.join([*paths, str(SLOW_DISK)])}
            told["SKIPRNN_SLOW_DISK"] = f"{slow} {results}"
            words += ["--stall", STALL_SECONDS]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                cwd=ROOT,
                env=os.environ | environment | told,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=limit_files if limited else None,
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def servers(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return [each for each in psutil.Process(self.process.pid).children() if "spawn_main" in str(each.cmdline())]
        return []

    def trials(self) -> list[psutil.Process]:
        found = []
        for server in self.servers():
            with suppress(psutil.Error):
                found += server.children()
        return found

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.ended


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_BYTES, LARGEST_BYTES))


def marked(mark: str) -> list[psutil.Process]:
    """The processes of a round that are still there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(true: Callable[[], object], *, seconds: float, every: float = 0.01) -> bool:
    """Whether it came true within so many seconds; looks every so many."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True
