"""A Ray cluster of several machines, made up on this one, whose trials learn nothing."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.faults.machines import Machine
from tests.faults.runs import INSTEAD, ROOT

OBJECTS = 80 * 2**20
# Seconds between looks at a node, how often it may be missed, and how long nodes and runs wait for a head that is gone.
LOOK_SECONDS, MISSED, HEAD_SECONDS = 1, 4, 40
# More than a node may be silent for.
LOST_SECONDS = 2.0 * LOOK_SECONDS * MISSED + 2.0


class RayCluster:
    """A head that runs no trials, and nodes that run one each. What it needs of its environment runs need too.

    A context manager, which ends all of it.

    Args:
        home: a folder for all that it leaves, which has to be there; of a short path, since sockets stand in it.
        apart: folders that a node which is added `apart` does not see.
        learns: whether trials learn after all.
        look_seconds: between looks at a node: more where nodes are many for this machine's cores.
    """

    def __init__(
        self, home: Path, *, apart: Sequence[Path] = (), learns: bool = False, look_seconds: int = LOOK_SECONDS
    ) -> None:
        self._home = home
        self._look_seconds = look_seconds
        self._apart = apart
        self._count = 0
        token = home / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {
            "PYTHONPATH": str(ROOT) if learns else os.pathsep.join([str(INSTEAD), str(ROOT)]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_TMPDIR": str(home),  # where it notes which cluster is this machine's: not a user's own
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # beside other load a trial would hardly run
        }
        self.nodes: list[Machine] = []
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def begin(self) -> None:
        """Starts the head, which must be gone, and no node."""
        port, other = free_ports(2)
        self.address = f"127.0.0.1:{port}"
        told = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": self._look_seconds * 1000,
            "health_check_timeout_ms": self._look_seconds * 1000,
            "health_check_failure_threshold": MISSED,
            "gcs_rpc_server_reconnect_timeout_s": HEAD_SECONDS,
        }
        words = ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false"]
        words += [f"--ray-client-server-port={other}", f"--system-config={json.dumps(told)}"]
        self.head = self._machine("head", words, apart=False)
        self.head.await_start()

    def add(
        self,
        *,
        apart: bool = False,
        environment: Mapping[str, str] | None = None,
        own: Mapping[Path, Path] | None = None,
    ) -> Machine:
        """A node for a trial at a time, which may still be about to start; `own` as of a machine."""
        node = self._machine(
            "node", [f"--address={self.address}", "--num-cpus=1"], apart=apart, environment=environment, own=own
        )
        self.nodes.append(node)
        return node

    def kill(self) -> None:
        """Ends all of it at once."""
        for machine in [*self.nodes, self.head]:
            machine.kill()
        self.nodes.clear()

    def commands(self) -> list[psutil.Process]:
        """The trials' commands that run on its nodes."""
        return [each for node in self.nodes for each in commands(node)]

    def _machine(
        self,
        kind: str,
        words: Sequence[str],
        *,
        apart: bool,
        environment: Mapping[str, str] | None = None,
        own: Mapping[Path, Path] | None = None,
    ) -> Machine:
        self._count += 1
        home = self._home / f"{kind}{self._count}"
        (home / "tmp").mkdir(parents=True)
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", *words]
        start += ["--node-ip-address=127.0.0.1", "--include-log-monitor=false", f"--temp-dir={home}"]
        start += [f"--object-store-memory={OBJECTS}"]
        return Machine(
            home.name,
            home=home,
            command=start,
            environment=self.environment | {"TMPDIR": str(home / "tmp")} | dict(environment or {}),
            hidden=self._apart if apart else (),
            own=own,
        )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def commands(node: Machine) -> list[psutil.Process]:
    """The trials' commands that run on a node."""
    return [each for each in node.processes() if "--attended" in _words(each)]


def workers(node: Machine) -> list[psutil.Process]:
    """The processes that attend to a trial's command on a node."""
    return [each for each in node.processes() if (_words(each) or [""])[0].startswith("ray::trial ")]


def raylets(node: Machine) -> list[psutil.Process]:
    """What makes a machine a node."""
    return [each for each in node.processes() if (_words(each) or [""])[0].endswith("/raylet")]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
