"""What must be as it was for a trial to go on, bit for bit, from where another process left it."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from bench.machine.environment import package_versions, processor, processor_features
from bench.machine.variables import library_settings
from bench.tasks.base import Task

ROOT = Path(__file__).resolve().parents[2]
# The code that makes a trial's numbers.
SOURCES = ("impls", "bench/train", "bench/tasks", "bench/data", "bench/plan/trial.py")
# Of an environment: what computes on a card.
CARD = ("gpu", "gpu_driver", "gpu_libraries")
# Of a task of another package.
TASK_CODE = "the task's code"


def conditions(*, threads: int, checksums: str, card: str = "", of_task: str = "") -> dict[str, str]:
    """By name, to be compared.

    Args:
        threads: how many the framework's operators may use.
        checksums: of the initial parameters and first batches, and of the data set where there is one: batches that
            agree at first may be of data that differ later.
        card: the graphics card, its driver and libraries (`CARD`), where one computes.
        of_task: `task_code`, where the task is of another package.
    """
    settings = library_settings()
    return {
        "code": code_checksum(),
        **({TASK_CODE: of_task} if of_task else {}),
        "packages": ", ".join(f"{name} {version}" for name, version in package_versions().items()),
        "python": platform.python_version(),
        "processor": processor(),
        "instructions": hashlib.sha256(processor_features().encode()).hexdigest()[:16],
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
    places = [root / name for name in SOURCES]
    found = [[place] if place.is_file() else sorted(place.rglob("*.py")) for place in places]
    return _checksum([path for paths in found for path in paths], root=root)


def task_code(task: type[Task]) -> str:
    """Whose code a task of another package is, such as `my_package 0123456789abcdef`; empty for the project's own.

    The checksum is of all Python files of the package as they are now, or of the one file where the module is in none.
    A task that derives from one of a third package tells both.
    """
    found: dict[str, str] = {}
    for base in task.__mro__:
        module = sys.modules.get(base.__module__)
        if not issubclass(base, Task) or module is None or _is_own(module):
            continue
        name, files, root = _of_one_package(module)
        found[name] = _checksum(files, root=root)
    return ", ".join(f"{name} {checksum}" for name, checksum in found.items())


def _is_own(module: ModuleType) -> bool:
    file = Path(module.__file__ or "").resolve()
    return any(file.is_relative_to(ROOT / folder) for folder in SOURCES)


def _of_one_package(module: ModuleType) -> tuple[str, list[Path], Path]:
    """The outermost package of a module that is one with files, else the module: its name, files and their folder."""
    names = module.__name__.split(".")
    for end in range(1, len(names) + 1):
        outer = sys.modules.get(".".join(names[:end]))
        told = getattr(outer, "__file__", None)
        if outer is None or told is None:  # of a folder that several packages share
            continue
        file = Path(told).resolve()
        if hasattr(outer, "__path__"):
            return outer.__name__, sorted(file.parent.rglob("*.py")), file.parent
        return outer.__name__, [file] if file.is_file() else [], file.parent
    return module.__name__, [], ROOT


def _checksum(files: Sequence[Path], *, root: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)};".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
