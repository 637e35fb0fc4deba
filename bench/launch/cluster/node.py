"""A trial on the machine that it was sent to: its folder, its command, and what is told of it to whoever sent it.

Nothing here knows how a trial is sent, and what is told can be carried by anything that carries Python's objects.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.errors import DiskError
from bench.launch.cluster.carried import Files, all_files, files_so_far, write_files
from bench.launch.executor import Where
from bench.launch.local.trial_process import GRACE_SECONDS, how_it_ended, over_time, stalled
from bench.launch.process.heard import Heard
from bench.launch.process.heartbeat import BEAT_SECONDS, Beat, read_beat
from bench.machine.gpus import gpu_variables
from bench.machine.scratch import scratch_folder
from bench.plan.trial import Trial
from bench.records.attempted import How
from bench.records.record import Status
from bench.records.running.lone_folder import TRIAL, write_trial
from bench.records.store import CHECKPOINTS
from bench.train.conditions import code_checksum_now
from bench.train.progress import Progress

ROOT = Path(__file__).resolve().parents[3]
# Seconds between looks at the command.
LOOK_SECONDS = 0.5
# Seconds between checkpoints that are carried home: what may be lost with a machine, besides what the trial itself
# does between two.
CARRY_SECONDS = 30.0
# The exit code of a command that was refused before anything ran, or whose disk took no more.
REFUSED = 2


@dataclass(frozen=True, kw_only=True)
class Order:
    """A trial that a machine is to run.

    Attributes:
        trial: which.
        folder: the attempt's, as the sender sees it: with a `trial.json`, so that it is known for the same elsewhere.
        files: what else stands there, for a machine that does not see it.
        data: the folder of data sets on that machine; what is missing is prepared there.
        threads: of the framework.
        code: the checksum of the sender's code, which has to be that machine's too.
        timeout_seconds: the longest that it may take; None is for ever.
        stall_seconds: the longest that it may show no life; None is for ever.
    """

    trial: Trial
    folder: Path
    files: Files
    data: Path
    threads: int
    code: str
    timeout_seconds: float | None = None
    stall_seconds: float | None = None


@dataclass(frozen=True)
class Here:
    """The trial has begun, there."""

    where: Where


@dataclass(frozen=True)
class Home:
    """Files for the sender's folder, which this machine does not see."""

    files: Files


@dataclass(frozen=True)
class Trouble:
    """The trial ended without a record, since a disk did not take its files, or it was refused. One line."""

    said: str


@dataclass(frozen=True)
class Unfit:
    """The machine cannot run what the sender asks for; nothing was tried. One line."""

    said: str


@dataclass(frozen=True, kw_only=True)
class Over:
    """The trial's command has ended; the rest is for a record that it may not have left, as in `executor.Ended`."""

    status: Status
    how: How
    error: str
    conditions: Mapping[str, str] | None


News = Here | Progress | Home | Trouble | Unfit | Over


def run_ordered(order: Order, *, gpu: str | None) -> Iterator[News]:
    """Runs the trial's command and yields what happens; the last is that it is over, or why it could not be.

    Closed or interrupted before, it ends the command first. Should this process be killed, the command ends by itself.

    Args:
        order: what to run.
        gpu: that a trial on `cuda` sees alone, or several with commas; any other trial sees none.
    """
    node = socket.gethostname()
    # As it is now, since the command reads it anew, while this process may have run others before.
    if (code := code_checksum_now()) != order.code:
        yield Unfit(
            f"node {node} has another version of the project ({code} in {ROOT}, {order.code} here): bring it up to date"
        )
        return
    try:
        with _folder(order) as folder, tempfile.TemporaryFile() as said:
            carried = folder != order.folder
            command = _Command(order, folder=folder, gpu=gpu, said=said)
            try:
                yield from command.news(node=node, carried=carried)
            finally:
                command.end()
    except DiskError as error:  # which did not take what was sent
        yield Trouble(f"node {node}: {error}")
    except OSError as error:  # of the machine, such as no room for another process
        how: How = "out_of_memory" if error.errno == errno.ENOMEM else "lost"
        yield Over(status="failed", how=how, error=f"node {node} could not run its command: {error}", conditions=None)


@contextmanager
def _folder(order: Order) -> Iterator[Path]:
    """The attempt's own folder where this machine sees it, else one of this machine's with the same files."""
    if (order.folder / TRIAL).is_file():
        yield order.folder
        return
    with scratch_folder() as folder:
        write_files(folder, order.files)
        write_trial(folder, order.trial)
        yield folder


class _Command:
    """The command, started in a session of its own, so that all of it can be ended."""

    def __init__(self, order: Order, *, folder: Path, gpu: str | None, said: IO[bytes]) -> None:
        self._order = order
        self._folder = folder
        self._gpu = gpu if order.trial.device == "cuda" else None
        self._said = said
        words = [sys.executable, "-m", "bench", "trial", str(folder), "--attended"]
        words += ["--data", str(order.data), "--threads", str(order.threads)]
        self._process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | gpu_variables(self._gpu),
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started = time.monotonic()
        self._heard = Heard()
        self._beat: Beat | None = None

    def news(self, *, node: str, carried: bool) -> Iterator[News]:
        """What happens, to its end."""
        carry_due = time.monotonic() + CARRY_SECONDS
        brought: set[str] = set()
        while True:
            code = self._process.poll()  # first, so that what it told before its end is heard
            yield from self._told(node)
            over = self._has_to_end() if code is None else _ended(code)
            if over is not None:
                break
            now = {path.name for path in self._folder.glob(CHECKPOINTS)}
            if carried and now - brought and time.monotonic() >= carry_due:
                carry_due, brought = time.monotonic() + CARRY_SECONDS, now
                yield Home(files_so_far(self._folder))
            time.sleep(LOOK_SECONDS)
        self.end()
        if carried:
            yield Home(all_files(self._folder))
        if trouble := self._trouble():
            yield Trouble(f"node {node}: {trouble}")
            return
        status, how, error = over
        yield Over(status=status, how=how, error=error, conditions=self._heard.conditions)

    def end(self) -> None:
        """Ends it in order; what takes too long is killed, with all that it started."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _told(self, node: str) -> Iterator[News]:
        beat = read_beat(self._folder)
        if beat is None or (beat.node, beat.process_id) != (node, self._process.pid):
            return
        before, self._beat = self._beat, beat
        if before is None:
            yield Here(Where(node=node, device=self._order.trial.device if self._gpu is None else f"GPU {self._gpu}"))
        if before is None or before.life != beat.life:
            self._heard.hear(beat.life, process_id=self._process.pid)
        progress = beat.progress
        if progress is not None and (before is None or progress != before.progress):
            self._heard.hear(progress, process_id=self._process.pid)
            yield progress

    def _has_to_end(self) -> tuple[Status, How, str] | None:
        """How it is ended, where it is over its time or stalled; None where it may go on."""
        timeout, stall = self._order.timeout_seconds, self._order.stall_seconds
        if timeout is not None and time.monotonic() >= self._started + timeout:
            return "timeout", "timeout", over_time(timeout)
        if stall is not None and self._heard.stalled(stall + BEAT_SECONDS, process_id=self._process.pid):
            return "failed", "failed", stalled(stall, step=self._heard.step)
        return None

    def _trouble(self) -> str:
        """What the command said of a disk, or why it was refused; empty where nothing."""
        if self._beat is not None and self._beat.trouble:
            return self._beat.trouble
        if self._process.returncode != REFUSED:
            return ""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else "the trial's command was refused"


def _ended(code: int) -> tuple[Status, How, str]:
    """How a command ended by itself, if it left no record."""
    return "failed", *how_it_ended(code)
