"""What a trial ran on: machine, Python and package versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_info

from bench.machine.graphics import graphics_card
from bench.machine.variables import library_settings

PROJECT = "skiprnn-bench"
PACKAGES = ("torch", "numba", "llvmlite", "tensorflow", "keras", "numpy", "scikit-learn")
# A cloud sells processors of several generations under one name, which these numbers tell apart.
GENERATION = ("cpu family", "model", "stepping")


@cache
def processor() -> str:
    """The processor's model name, and its generation where the system tells it."""
    name = _told_of_processor("model name") or platform.processor()
    generation = [f"{word} {told}" for word in GENERATION if (told := _told_of_processor(word))]
    return f"{name} ({', '.join(generation)})" if generation else name


def processor_features() -> str:
    """What the processor can do, such as `fpu sse4_2 avx2`; empty where the system does not tell."""
    return _told_of_processor("flags", "Features")


def _told_of_processor(*names: str) -> str:
    """What the system says of the first core under the first of these names that it knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    return next((known[name] for name in names if name in known), "")


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result; missing ones are left out."""
    return {package: importlib.metadata.version(package) for package in PACKAGES if _installed(package)}


def environment(*, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Machine and software, for a record; the graphics card and what the user set, where there is either."""
    settings = library_settings()
    return {
        "processor": processor(),
        "cores": psutil.cpu_count(logical=True),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": package_versions(),
        "threads": threads,
        "blas": blas(),
        "project": project(),
        **(graphics_card() if device == "cuda" else {}),
        **({"variables": settings} if settings else {}),
    }


def blas() -> str:
    """The linear algebra libraries that are loaded, each with its version and threads."""
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    told = {f"{each['internal_api']} {each['version']}, threads {each['num_threads']}" for each in found}
    return "; ".join(sorted(told))


def project() -> dict[str, str]:
    """The project's version, and its commit where it runs from a checkout; `-changed` where files differ from it."""
    found = {"version": importlib.metadata.version(PROJECT) if _installed(PROJECT) else "not installed"}
    commit = _git("rev-parse", "HEAD")
    if commit:
        found["commit"] = commit + ("-changed" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return found


def processor_load() -> float:
    """Processes that run or wait to, the mean of the last minute."""
    return os.getloadavg()[0]


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@cache
def _git(*words: str) -> str:
    """What git says of the folder that this code stands in; nothing where it is no checkout or there is no git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed copy may lie inside somebody else's checkout
        return ""
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
