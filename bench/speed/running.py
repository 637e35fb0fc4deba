"""Runs the benchmarks, one framework after the other in processes of their own, and merges what they measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import SpeedError
from bench.machine import devices
from bench.machine.disk import disk_explained, write_atomically
from bench.machine.python_path import python_path
from bench.machine.threads import BY_BUS, COUNT_VARIABLE, THREAD_VARIABLES
from impls.contract import FRAMEWORKS, PACKAGES, installed
from impls.errors import nearest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What pytest returns where every test ran, whether all passed or some failed.
ALL_PASSED, SOME_FAILED = 0, 1
# Seconds of a framework for which nothing is left: 0 would be as long as it takes.
LEAST_SHARE = 1e-3


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
    which were left out and why, and `left_out` which frameworks. It replaces that of the run before. On a GPU no time
    is taken where an engine computes something else than the reference for what `correctness.py` compares.

    Args:
        scale: one of `bench.speed.scales.SCALES`.
        frameworks: the frameworks asked for; none means all, of which those that are missing are left out.
        device: `cpu` or `cuda`.
        threads: of the frameworks; 0 leaves their own default.
        results: the folder of results.
        budget_seconds: how long all may take; frameworks share what is left, and a benchmark that has begun is ended.
            None is as long as it takes.

    Raises `SpeedError` or `DeviceError` where nothing can be measured as asked.
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
        for framework in wanted:
            check_engines(framework, device=device)
    measured = []
    for number, framework in enumerate(wanted):
        share = 0.0  # none
        if deadline is not None:
            share = max(LEAST_SHARE, (deadline - time.monotonic()) / (len(wanted) - number))
        measured.append(_run(framework, scale=scale, device=device, threads=threads, budget_seconds=share))
    content = merged(measured) | {"scale": scale, "left_out": left_out}
    path = results / "speed" / "benchmarks.json"
    text = json.dumps(content, indent=1)
    with disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: _write_text(temporary, text + "\n"))
    return not content["failed"]


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


def check_engines(framework: str, *, device: str) -> None:
    """Raises `SpeedError`, one line, where the fast engine does not compute on the device what the reference does."""
    command = [sys.executable, "-m", "bench.speed.correctness", framework, device]
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": python_path()}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SpeedError(f"{framework} on {device}: the engines could not be compared: {last[0]}")
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    if found:
        raise SpeedError(f"{'; '.join(found)}; no time is taken")


def _run(framework: str, *, scale: str, device: str, threads: int, budget_seconds: float) -> dict[str, Any]:
    print(f"{framework}:", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", str(HERE), "-q", "--no-header"]
        command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["-o", "addopts=--import-mode=importlib", "--benchmark-quiet", f"--benchmark-json={measured}"]
        command += [f"--speed-scale={scale}", f"--speed-framework={framework}"]
        command += [f"--speed-device={device}", f"--speed-threads={threads}"]
        command += [f"--speed-budget={budget_seconds}"]
        # A pytest that runs this one, maybe on several processes, has settings of its own.
        outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment = outer | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": python_path(), COUNT_VARIABLE: BY_BUS}
        if threads:
            environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code not in (ALL_PASSED, SOME_FAILED) or not measured.is_file():
            raise SpeedError(f"the benchmarks of {framework} ended with pytest's exit code {code}; see above")
        content: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
        return content


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
