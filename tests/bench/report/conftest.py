"""The stored sweep and its report, written once for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from tests.bench.report.stored import SWEEP, Stored, write_stored


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return write_stored(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def page(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write_report(
        SWEEP,
        results=stored.results,
        reports=tmp_path_factory.mktemp("reports"),
        trials=stored.trials,
        command="python run_all.py stored",
        description="A stored sweep.",
    )
