"""Runs the benchmarks, one framework after the other in processes of their own, and merges what they measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import SpeedError
from bench.machine import devices
from bench.machine.disk import disk_explained, write_bytes, write_text
from bench.machine.python_path import python_path
from bench.machine.threads import BY_BUS, COUNT_VARIABLE, THREAD_VARIABLES
from bench.speed.journal import noted
from impls.contract import FRAMEWORKS, PACKAGES, installed
from impls.errors import nearest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What pytest returns where every test ran, whether all passed or some failed.
ALL_PASSED, SOME_FAILED = 0, 1
# Seconds of a framework for which nothing is left: 0 would be as long as it takes.
LEAST_SHARE = 1e-3
# Seconds that a process may take past the time it was given, for what it had begun.
PATIENCE = 60.0
COMPILED_AHEAD = ("pytorch",)  # XLA compiles for a batch and a length too, and for these alone
# Processes that compile at a time: each has a context of some hundred megabytes on the card.
MOST_COMPILERS = 8
INTERRUPTED = "it was interrupted"


class Interrupted(KeyboardInterrupt):
    """An interrupt after which there is something that was measured, and written."""


class Measured(NamedTuple):
    """What a framework's benchmarks came to.

    Attributes:
        content: pytest-benchmark's JSON object; None where no benchmark was measured.
        problem: why not all of them ran; empty where they did.
    """

    content: dict[str, Any] | None
    problem: str = ""


def run_benchmarks(
    *,
    scale: str,
    frameworks: Sequence[str],
    device: str,
    threads: int,
    results: Path,
    budget_seconds: float | None = None,
) -> bool:
    """Measures, writes `<results>/speed/benchmarks.json`, and returns whether every benchmark passed.

    The file is that of pytest-benchmark, raw times included; `failed` lists the benchmarks that failed, `cut` says
    which were left out and why, and `left_out` which frameworks. It is written after each framework, and replaces that
    of the run before. Where a framework's process dies, hangs or is interrupted, what it had measured is kept, and
    `cut` says so; the others go on, unless it was an interrupt. The file of the last run that came to its end then
    stays beside it, `benchmarks-before.json`, until another one does. On a GPU kernels are compiled ahead, and no time
    is taken where an engine computes something else than the reference for what `correctness.py` compares.

    Args:
        scale: one of `bench.speed.scales.SCALES`.
        frameworks: the frameworks asked for; none means all, of which those that are missing are left out.
        device: `cpu` or `cuda`.
        threads: of the frameworks; 0 leaves their own default.
        results: the folder of results.
        budget_seconds: how long all may take; frameworks share what is left, and a benchmark that has begun is ended.
            None is as long as it takes.

    Raises `SpeedError` or `DeviceError` where nothing can be measured as asked, or nothing was; `Interrupted` where it
    was interrupted and the file is written, and `KeyboardInterrupt` where nothing was measured until then.
    """
    left_out: dict[str, str] = {}
    for framework in frameworks:
        if framework not in FRAMEWORKS:
            known = ", ".join(FRAMEWORKS)
            raise SpeedError(f"--framework {framework}: not one of {known}{nearest(framework, FRAMEWORKS)}")
        if not installed(framework):
            raise SpeedError(f"--framework {framework}: the package {PACKAGES[framework]!r} is not installed")
    for framework in FRAMEWORKS:
        if not installed(framework):
            left_out[framework] = f"the package {PACKAGES[framework]!r} is not installed"
        elif frameworks and framework not in frameworks:
            left_out[framework] = "not asked for"
    wanted = [framework for framework in FRAMEWORKS if framework not in left_out]
    if not wanted:
        raise SpeedError(f"no framework is installed: install one of {', '.join(PACKAGES.values())}")
    devices.check((framework, device) for framework in wanted)
    for framework, why in left_out.items():
        print(f"{framework} is left out: {why}", file=sys.stderr)
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    if device == "cuda":
        for framework in set(wanted).intersection(COMPILED_AHEAD):
            # What hangs there leaves time to measure.
            half = None if deadline is None else max(0.0, deadline - time.monotonic()) / 2
            compile_ahead(framework, scale=scale, device=device, threads=threads, seconds=half)
        for framework in wanted:
            check_engines(framework, device=device, threads=threads, seconds=_allowed(deadline))
    path = results / "speed" / "benchmarks.json"
    found: dict[str, Measured] = {}
    for number, framework in enumerate(wanted):
        share = 0.0  # none
        if deadline is not None:
            share = max(LEAST_SHARE, (deadline - time.monotonic()) / (len(wanted) - number))
        found[framework] = _run(framework, scale=scale, device=device, threads=threads, budget_seconds=share)
        problem = found[framework].problem
        if problem:
            print(f"{framework}: not all benchmarks ran: {problem}; what was measured is kept", file=sys.stderr)
        unfinished = wanted[number + 1 :]
        if any(one.content for one in found.values()):
            content = _together(found, unfinished) | {"scale": scale, "left_out": left_out}
            complete = not unfinished and not any(one.problem for one in found.values())
            _write(path, content, complete=complete)
        if problem == INTERRUPTED:
            raise Interrupted if any(one.content for one in found.values()) else KeyboardInterrupt
    if not any(one.content for one in found.values()):
        problems = "; ".join(f"{framework}: {one.problem}" for framework, one in found.items())
        raise SpeedError(f"no benchmark was measured: {problems}; see above")
    return not content["failed"] and complete


def _together(found: Mapping[str, Measured], unfinished: Sequence[str]) -> dict[str, Any]:
    """One object of all that was measured; `cut` tells what was not, and why."""
    content = merged([one.content for one in found.values() if one.content])
    content["cut"] |= {f"the rest of {framework}": one.problem for framework, one in found.items() if one.problem}
    content["cut"] |= dict.fromkeys(unfinished, "the run was ended before it")
    return content


def _write(path: Path, content: Mapping[str, Any], *, complete: bool) -> None:
    """Writes the file; one of a run that came to its end stays beside that of a run that has not."""
    before = path.with_name("benchmarks-before.json")
    with disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not before.exists() and not complete:
            write_bytes(before, path.read_bytes())
    write_text(path, json.dumps(content, indent=1) + "\n")
    with disk_explained(before):
        if complete:
            before.unlink(missing_ok=True)


def _allowed(deadline: float | None) -> float | None:
    """Seconds until the deadline and a minute more; None where there is none."""
    return None if deadline is None else max(0.0, deadline - time.monotonic()) + PATIENCE


def merged(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One of pytest-benchmark's JSON objects out of several of one machine and version."""
    lists = {name: [entry for content in contents for entry in content[name]] for name in ("benchmarks", "failed")}
    cut = {name: why for content in contents for name, why in content["cut"].items()}
    machine = dict(contents[0]["machine_info"])
    libraries = {
        name: told for content in contents for name, told in content["machine_info"].get("libraries", {}).items()
    }
    if libraries:
        machine["libraries"] = libraries
    return {**contents[0], **lists, "cut": cut, "machine_info": machine}


def compile_ahead(framework: str, *, scale: str, device: str, threads: int = 0, seconds: float | None = None) -> None:
    """Compiles on several cores what the framework's benchmarks run on the device (`compiling.py`).

    What is not compiled after `seconds`, or fails to be, is compiled when it is first run: it is said, and no error.
    """
    count = min(MOST_COMPILERS, len(os.sched_getaffinity(0)))
    command = [sys.executable, "-m", "bench.speed.compiling", framework, scale, device]
    variables = _environment(threads=threads)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    deadline = None if seconds is None else time.monotonic() + seconds
    done = 0
    with ExitStack() as stack:
        shares = [[*command, f"{number}/{count}"] for number in range(count)]
        for process in [stack.enter_context(_process(share, variables, **quiet)) for share in shares]:
            with suppress(subprocess.TimeoutExpired):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                done += process.wait(timeout=left) == 0
    if done < count:
        print(
            f"{framework} on {device}: {count - done} of {count} processes did not compile all of their kernels ahead; "
            "what is left is compiled when it is first run",
            file=sys.stderr,
        )


def check_engines(framework: str, *, device: str, threads: int = 0, seconds: float | None = None) -> None:
    """Raises `SpeedError`, one line, where the fast engine does not compute on the device what the reference does.

    Or where that is not known within `seconds`. It is asked on the card, and in the environment, that is measured.
    """
    command = [sys.executable, "-m", "bench.speed.correctness", framework, device]
    variables = _environment(threads=threads)
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as complaints:
        code = _ended(command, variables, seconds=seconds, stdout=told, stderr=complaints)
        if code is None:
            raise SpeedError(
                f"{framework} on {device}: the engines were not compared within {seconds:.0f} s; raise --minutes"
            )
        told.seek(0)
        complaints.seek(0)
        if code != 0:
            last = complaints.read().strip().splitlines()[-1:] or ["no message"]
            raise SpeedError(f"{framework} on {device}: the engines could not be compared: {last[0]}")
        found: list[str] = json.loads(told.read().splitlines()[-1])
    if found:
        raise SpeedError(f"{'; '.join(found)}; no time is taken")


def _run(framework: str, *, scale: str, device: str, threads: int, budget_seconds: float) -> Measured:
    print(f"{framework}:", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.jsonl"
        command = [sys.executable, "-m", "pytest", str(HERE), "-q", "--no-header"]
        command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["-o", "addopts=--import-mode=importlib", "--benchmark-quiet"]
        command += [f"--speed-scale={scale}", f"--speed-framework={framework}"]
        command += [f"--speed-device={device}", f"--speed-threads={threads}"]
        command += [f"--speed-budget={budget_seconds}", f"--speed-journal={journal}"]
        seconds = budget_seconds + PATIENCE if budget_seconds else None
        try:
            code = _ended(command, _environment(threads=threads), seconds=seconds)
        except KeyboardInterrupt:
            return Measured(noted(journal), INTERRUPTED)
        content = noted(journal)
        if code is None:
            return Measured(content, f"it was ended after {seconds:.0f} s, a minute past its time")
        if code not in (ALL_PASSED, SOME_FAILED) or content is None:
            return Measured(content, f"it ended with pytest's exit code {code}")
        return Measured(content)


def _environment(*, threads: int) -> dict[str, str]:
    """Of every process whose framework computes here; 0 threads leave its own default.

    Cards are counted alike in all of them, so that one is compared and timed.
    """
    # A pytest that runs this one, maybe on several processes, has settings of its own.
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    told = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": python_path(), COUNT_VARIABLE: BY_BUS}
    return outer | told | (dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads else {})


def _ended(
    command: Sequence[str], variables: Mapping[str, str], *, seconds: float | None, **streams: Any
) -> int | None:
    """The exit code of a process; None where it was ended since it had not ended by itself within `seconds`."""
    with _process(command, variables, **streams) as process:
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None


@contextmanager
def _process(command: Sequence[str], variables: Mapping[str, str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """One that never outlasts the context, and neither does what it started: they are a group of their own."""
    process = subprocess.Popen(command, cwd=ROOT, env=dict(variables), start_new_session=True, **streams)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # a driver may hold it
            process.wait(timeout=PATIENCE)
