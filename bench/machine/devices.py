"""Which frameworks and GPUs this machine has, asked in processes of their own: the harness imports no framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable

from bench.errors import DeviceError
from bench.machine.python_path import python_path
from impls.contract import PACKAGES, DeviceReport, installed

_ASK = "import json, sys; from dataclasses import asdict; from impls.contract import describe_device; "
_ASK += "print(json.dumps(asdict(describe_device(sys.argv[1]))))"


def describe(framework: str) -> DeviceReport:
    """What a framework sees. A framework that is missing or does not import has that for its `problem`."""
    if not installed(framework):
        package = PACKAGES[framework]
        return DeviceReport(
            framework=framework, version="", cuda_devices=(), problem=f"the package {package!r} is not installed"
        )
    answer = subprocess.run(
        [sys.executable, "-c", _ASK, framework],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": python_path()},
        check=False,
    )
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["no message"]
        return DeviceReport(framework=framework, version="", cuda_devices=(), problem=f"importing it fails: {last[0]}")
    told = json.loads(answer.stdout.splitlines()[-1])
    return DeviceReport(**told | {"cuda_devices": tuple(told["cuda_devices"])})


def check(needed: Iterable[tuple[str, str]]) -> None:
    """Raises `DeviceError` unless every (framework, device) that trials need can be used."""
    problems = []
    for framework, device in sorted(set(needed)):
        if not installed(framework):
            problems.append(
                f"{framework} trials need the package {PACKAGES[framework]!r}, which is not installed: "
                f"install it, or leave these trials out with --where framework=…"
            )
        elif device == "cuda":
            report = describe(framework)
            if not report.cuda_devices:
                problems.append(f"--device cuda: {report.problem}; use --device cpu or leave {framework} out")
    if problems:
        raise DeviceError("; ".join(problems))
