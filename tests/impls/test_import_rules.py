"""What may import what: the shared modules no framework, a twin only its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORK_PACKAGES = {"torch", "tensorflow", "keras"}
SHARED = sorted(f"impls.{path.stem}" for path in (ROOT / "impls").glob("*.py") if path.stem != "__init__")


def imported_by(*modules: str) -> set[str]:
    """The framework packages in memory after importing these modules in a fresh interpreter."""
    program = f"import sys, {', '.join(modules)}; print(*sorted({FRAMEWORK_PACKAGES!r} & set(sys.modules)))"
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return set(finished.stdout.split())


def test_shared_modules_import_no_framework() -> None:
    assert {"impls.contract", "impls.parameters", "impls.reference", "impls.official"} <= set(SHARED)
    assert imported_by("impls", *SHARED) == set()


@pytest.mark.parametrize(("twin", "own"), [("pytorch", {"torch"}), ("tensorflow", {"tensorflow", "keras"})])
def test_twin_imports_only_its_own_framework(twin: str, own: set[str]) -> None:
    assert imported_by(f"impls.{twin}") == own
