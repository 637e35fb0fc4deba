"""Machines that are made up on this one: each with a name, processes and mounted disks of its own.

They are Linux namespaces, which `unshare` makes: what is killed as a machine is killed by the kernel, all at once, and
a folder that a machine does not see is not there for it. The network is this machine's.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from tests.faults.runs import wait_until

APART = ("--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
# A disk that is mounted here later is seen there too.
APART += ("--propagation", "slave")
START_SECONDS, TRIES = 300.0, 3


def unshare() -> list[str]:
    """The command that makes a machine; without the rights to, as a user who has them over what is their own."""
    return ["unshare", *(() if os.getuid() == 0 else ("--user", "--map-root-user")), *APART]


@cache
def can_be_made() -> bool:
    """Whether this machine lets anyone make some."""
    try:
        return not subprocess.run([*unshare(), "true"], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


class Machine:
    """A machine that has run a command, and goes on with what that left running.

    Args:
        name: what it is called.
        home: a folder for what it prints, which has to be there.
        command: what it runs first. Raises `RuntimeError`, from `await_start`, where that fails.
        environment: of everything on it, beside what this process has.
        hidden: folders that are empty on it.
        own: folders that are others on it: where each leads.
    """

    def __init__(
        self,
        name: str,
        *,
        home: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        hidden: Sequence[Path] = (),
        own: Mapping[Path, Path] | None = None,
    ) -> None:
        self.name = name
        self._output = home / f"{name}.txt"
        self._started = home / f"{name}.started"
        self._environment = os.environ | environment
        lines = ["set -e", f"hostname {name}"]
        lines += [shlex.join(["mount", "-t", "tmpfs", "tmpfs", str(path)]) for path in hidden]
        lines += [shlex.join(["mount", "--bind", str(to), str(place)]) for place, to in (own or {}).items()]
        lines += [shlex.join(command), f"touch {shlex.quote(str(self._started))}"]
        lines += ["cat"]  # the shell waits: for what has lost its parent, and for the end of this process
        self._script = "\n".join(lines)
        self._process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._output.open("ab") as file:
            return subprocess.Popen(
                [*unshare(), "sh", "-c", self._script],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_start(self) -> None:
        """Until its command has ended well, at the third time at the latest: a busy machine may be too slow for it."""
        for left in reversed(range(TRIES)):
            wait_until(lambda: self._started.exists() or not self.runs, seconds=START_SECONDS, every=0.1)
            if self._started.exists():
                return
            self.kill()
            if left:
                self._process = self._begin()
        raise RuntimeError(f"machine {self.name} did not start:\n{self._output.read_text(errors='replace')}")

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """All that run on it, as this machine sees them."""
        if not self.runs:
            return []
        first = [each.pid for each in psutil.Process(self._process.pid).children()]
        own = {_processes_of(number) for number in first} - {_processes_of(os.getpid()), None}
        return [each for each in psutil.process_iter() if _processes_of(each.pid) in own]

    def kill(self) -> None:
        """Ends all of it at once, as a loss of power does."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def pause(self) -> None:
        """Nothing on it goes on."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for _ in range(2):  # what was forked meanwhile too
            for each in self.processes():
                with suppress(psutil.Error):
                    each.send_signal(number)


def _processes_of(process_id: int) -> str | None:
    """Which machine a process is on; None for one that is gone."""
    try:
        return os.readlink(f"/proc/{process_id}/ns/pid")
    except OSError:
        return None
