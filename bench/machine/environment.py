"""What a trial ran on: machine, Python and package versions."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import cache
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("torch", "tensorflow", "keras", "numpy", "scikit-learn")


@cache
def processor() -> str:
    """The processor's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor()
    return platform.processor()


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result; missing ones are left out."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def environment(*, threads: int) -> dict[str, Any]:
    """Machine and software, for a record."""
    return {
        "processor": processor(),
        "cores": psutil.cpu_count(logical=True),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": package_versions(),
        "threads": threads,
    }
