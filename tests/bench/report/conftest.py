"""The stored sweep, written once for all tests of the report."""

from __future__ import annotations

import pytest

from tests.bench.report.stored import Stored, write_stored


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return write_stored(tmp_path_factory.mktemp("results"))
