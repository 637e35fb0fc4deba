"""A process for each framework that has imported it and computed nothing, and forks itself for every trial.

An import takes seconds, a fork milliseconds. A trial still has a process of its own, whose numbers are those of a fresh
one: it starts the framework's threads and does its first operation itself.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess, SpawnProcess
from types import TracebackType
from typing import Any, BinaryIO, Self

from bench.launch.process.child import Imports, run_child
from bench.machine.threads import library_variables

# What is told of a process whose server was killed, so that nobody could ask for its exit code.
UNKNOWN = 255
# Seconds that a server is given to say which process it forked; one that imports does not answer.
ANSWER_SECONDS = 1.0
# What asks for a fork. What the process is to do comes to it by its own connection.
REQUEST = b"fork"


class ServedProcess:
    """A trial's process, forked by a server; it is asked and told things as `multiprocessing.Process` is.

    Args:
        status: tells the process id, then the exit code. Its other end is held by the server and by the process, so
            that it closes only when both are gone.
        server: who forks it.
    """

    def __init__(self, status: Connection, *, server: Server) -> None:
        self._status = status
        self._server = server
        self._process_id: int | None = None
        self._exitcode: int | None = None

    @property
    def sentinel(self) -> Connection:
        """Ready when the process has something to tell, its end in any case."""
        return self._status

    @property
    def pid(self) -> int | None:
        """The process id; None while the server imports."""
        self._hear()
        return self._process_id

    @property
    def server_id(self) -> int:
        """The process id of who forks it."""
        assert self._server.process.pid is not None  # it was started
        return self._server.process.pid

    @property
    def turned_away(self) -> bool:
        """Whether it will never be: its server was stopped for another trial's sake before it could fork this one."""
        return self.exitcode is not None and self._process_id is None and self._server.stopped

    @property
    def exitcode(self) -> int | None:
        """None while the process runs; −n where signal n killed it."""
        self._hear()
        return self._exitcode

    def terminate(self) -> None:
        """Asks the process to end (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process (SIGKILL)."""
        self._signal(signal.SIGKILL)

    def join(self, timeout: float | None = None) -> None:
        """Waits until the process has ended, or for this many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.exitcode is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return
            wait([self._status], timeout=left)

    def _hear(self) -> None:
        while self._exitcode is None and self._status.poll():
            try:
                told = self._status.recv()
            except (EOFError, OSError):
                self._exitcode = self._without_word()
            else:
                if self._process_id is None:
                    self._process_id = told
                else:
                    self._exitcode = told
        if self._exitcode is not None:
            self._status.close()

    def _without_word(self) -> int:
        """The exit code where none was told: a server that ended before it forked takes the trial with it."""
        if self._process_id is not None:
            return UNKNOWN
        self._server.process.join(ANSWER_SECONDS)
        return self._server.process.exitcode or UNKNOWN

    def _signal(self, number: int) -> None:
        if self.exitcode is None and self._process_id is None:
            wait([self._status], timeout=ANSWER_SECONDS)
        if self.exitcode is not None:
            return
        if self._process_id is None:  # it still imports, and has forked nothing
            self._server.stopped = True
            self._server.process.kill()
            self.join()
            return
        with suppress(ProcessLookupError):
            os.kill(self._process_id, number)


@dataclass(kw_only=True)
class Server:
    """The process of one framework, the socket that it takes requests from, and whether it was killed here."""

    process: SpawnProcess
    requests: socket.socket
    stopped: bool = False


class Servers:
    """The servers of a run, one for each framework that is asked for. A context manager: they end with it.

    A server whose parent is gone stops the processes that it forked, and ends.

    Args:
        threads: of each trial, for the libraries that read them when they are loaded.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.requests.close()
        for server in self._servers.values():
            server.process.join(ANSWER_SECONDS)
            server.process.kill()  # it may still import
            server.process.join()

    def open(self, framework: str) -> None:
        """Has a server begin to import the framework, unless one has."""
        known = self._servers.get(framework)
        if known is not None:
            if known.process.exitcode is None:
                return
            known.requests.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs, framework), name=f"server-{framework}"
        )
        with _environment(library_variables(self._threads)), _ctrl_c_held_back():
            process.start()
        theirs.close()
        self._servers[framework] = Server(process=process, requests=ours)

    def start(self, framework: str, arguments: Mapping[str, Any]) -> tuple[ServedProcess, Connection]:
        """A new process that does `run_child(**arguments)`, and the connection that it tells its progress to."""
        self.open(framework)
        server = self._servers[framework]
        progress, telling = multiprocessing.Pipe()
        status, answering = multiprocessing.Pipe(duplex=False)
        with telling, answering, suppress(BrokenPipeError, ConnectionResetError):  # of a dead server the process tells
            progress.send(dict(arguments))
            socket.send_fds(server.requests, [REQUEST], [telling.fileno(), answering.fileno()])
        return ServedProcess(status, server=server), progress


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables that a process which is started here begins with: libraries read them when they are loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """A process that is started here meets no Ctrl-C before it can say that it ignores it; this one meets it after."""
    resource_tracker.ensure_running()  # it would be started on the way, and let Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(requests: socket.socket, framework: str) -> None:
    """Imports, then forks until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    output = tempfile.TemporaryFile()  # noqa: SIM115
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    imports = Imports(seconds=_import(framework), printed=_content(output))
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at
    running: dict[ForkProcess, Connection] = {}
    while True:
        wait([requests, *(process.sentinel for process in running)])
        for process in [process for process in running if process.exitcode is not None]:
            with running.pop(process) as answering, suppress(BrokenPipeError):
                answering.send(process.exitcode)
            process.close()
        requests.setblocking(False)
        try:
            request, descriptors, _, _ = socket.recv_fds(requests, len(REQUEST), 2)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            request = b""
        if not request:  # the parent is gone or has no more to ask for; what still runs is ended on the way out
            return
        progress, answering = (Connection(descriptor) for descriptor in descriptors)
        others = [requests.close, *(other.close for other in running.values())]
        told = (others, progress, imports)
        process = multiprocessing.get_context("fork").Process(target=_run, args=told, daemon=True)
        process.start()
        progress.close()
        running[process] = answering
        with suppress(BrokenPipeError):
            answering.send(process.pid)


def _import(framework: str) -> float:
    """Imports all that a trial needs, and notes whose code it is; the seconds that it took.

    What fails is left to the trials: each meets it again, and records it.
    """
    start = time.perf_counter()
    try:
        from bench.machine.environment import project
        from bench.train.conditions import code_checksum
        from bench.train.training import run_trial  # noqa: F401
        from impls.contract import import_learner

        # Of the files as they are imported, not as they may be when a trial starts.
        code_checksum()
        project()
        import_learner(framework)
    except Exception:
        traceback.print_exc()
    return time.perf_counter() - start


def _run(others: Sequence[Callable[[], None]], connection: Connection, imports: Imports) -> None:
    """In the forked process: lets go of what is the server's and of other trials', and runs the trial."""
    for close in others:
        close()
    run_child(connection=connection, imports=imports, **connection.recv())


def _content(file: BinaryIO) -> str:
    sys.stdout.flush()
    sys.stderr.flush()
    file.seek(0)
    return file.read().decode(errors="replace")
