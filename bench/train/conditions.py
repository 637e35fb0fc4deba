"""What must be as it was for a trial to go on, bit for bit, from where another process left it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from bench.machine.environment import package_versions, processor
from bench.machine.variables import library_settings

ROOT = Path(__file__).resolve().parents[2]
# The code that makes a trial's numbers.
SOURCES = ("impls", "bench/train", "bench/tasks", "bench/data")


def conditions(*, threads: int, checksums: str, card: str = "") -> dict[str, str]:
    """By name, to be compared.

    Args:
        threads: how many the framework's operators may use.
        checksums: of the initial parameters and first batches, and of the data set where there is one: batches that
            agree at first may be of data that differ later.
        card: the graphics card's name, where one computes.
    """
    settings = library_settings()
    return {
        "code": code_checksum(),
        "packages": ", ".join(f"{name} {version}" for name, version in package_versions().items()),
        "processor": processor(),
        "threads": str(threads),
        "parameters and batches": checksums,
        **({"graphics card": card} if card else {}),
        **({"environment variables": settings} if settings else {}),
    }


@cache
def code_checksum() -> str:
    """`code_checksum_now` when this process asked first: of the code that it runs."""
    return code_checksum_now()


def code_checksum_now(root: Path = ROOT) -> str:
    """SHA-256 over the names and contents of the Python files of `SOURCES`; 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()} {len(content)};".encode())
            digest.update(content)
    return digest.hexdigest()[:16]
