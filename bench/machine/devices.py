"""Which frameworks and GPUs this machine has, asked in processes of their own: the harness imports no framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.errors import DeviceError
from bench.machine.gpus import gpu_variables
from bench.machine.graphics import cards_listed
from bench.machine.python_path import python_path
from impls.contract import PACKAGES, DeviceReport, installed

_ASK = "import json, sys; from dataclasses import asdict; from impls.contract import describe_device; "
_ASK += "print(json.dumps(asdict(describe_device(sys.argv[1]))))"


def describe(framework: str, *, variables: Mapping[str, str] | None = None) -> DeviceReport:
    """What a framework sees. A framework that is missing or does not import has that for its `problem`.

    `variables` are added to the environment that it sees it in.
    """
    if not installed(framework):
        package = PACKAGES[framework]
        return DeviceReport(
            framework=framework, version="", cuda_devices=(), problem=f"the package {package!r} is not installed"
        )
    answer = subprocess.run(
        [sys.executable, "-c", _ASK, framework],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": python_path()} | dict(variables or {}),
        check=False,
    )
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:] or ["no message"]
        return DeviceReport(framework=framework, version="", cuda_devices=(), problem=f"importing it fails: {last[0]}")
    told = json.loads(answer.stdout.splitlines()[-1])
    return DeviceReport(**told | {"cuda_devices": tuple(told["cuda_devices"])})


def check(needed: Iterable[tuple[str, str]], *, gpus: Sequence[str] = ()) -> None:
    """Raises `DeviceError` unless every (framework, device) that trials need can be used.

    Where `gpus` are named, trials on `cuda` see one of these alone, and so each of them is asked for.
    """
    problems = []
    on_cuda = []
    for framework, device in sorted(set(needed)):
        if not installed(framework):
            problems.append(
                f"{framework} trials need the package {PACKAGES[framework]!r}, which is not installed: "
                f"install it, or leave these trials out with --where framework=…"
            )
        elif device == "cuda":
            on_cuda.append(framework)
    if on_cuda and gpus:
        problems += _problems_of_gpus(on_cuda, gpus)
    else:
        reports = {framework: describe(framework) for framework in on_cuda}
        problems += [_unusable(report) for report in reports.values() if not report.cuda_devices]
    if problems:
        raise DeviceError("; ".join(problems))


def _problems_of_gpus(frameworks: Sequence[str], gpus: Sequence[str]) -> Iterator[str]:
    """What keeps trials from these GPUs: the first framework is asked for each of them, the others for the first."""
    first, *others = frameworks
    asked = [(first, gpu) for gpu in gpus] + [(other, gpus[0]) for other in others]

    def answer(framework: str, gpu: str) -> DeviceReport:
        return describe(framework, variables=gpu_variables(gpu))

    with ThreadPoolExecutor(len(asked)) as pool:
        reports = dict(zip(asked, pool.map(answer, *zip(*asked, strict=True)), strict=True))
    missing = {gpu: reports[first, gpu].problem for gpu in gpus if not reports[first, gpu].cuda_devices}
    if missing:
        told = ", ".join(cards_listed()) or "nothing"
        yield (
            f"--gpus {','.join(gpus)}: no trial could use {', '.join(missing)}: "
            f"{'; '.join(dict.fromkeys(missing.values()))}; nvidia-smi -L tells of {told}"
        )
    if gpus[0] in missing:  # of which the others cannot tell more
        return
    for other in others:
        report = reports[other, gpus[0]]
        if not report.cuda_devices:
            yield _unusable(report)


def _unusable(report: DeviceReport) -> str:
    return f"--device cuda: {report.problem}; use --device cpu or leave {report.framework} out"
