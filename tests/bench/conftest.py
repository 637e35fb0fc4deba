"""What the tests of several rooms share."""

import pytest

from tests.bench.disks import small_disk
from tests.faults.fake_training import BEFORE, VARIABLE
from tests.faults.runs import LEARNS_NOTHING

__all__ = ["small_disk"]


@pytest.fixture
def learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials learn nothing, in any process that is started: for tests of what is around them."""
    for name, value in LEARNS_NOTHING.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def endless(learns_nothing: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """They learn nothing, and wait before their record until they are ended."""
    place = tmp_path_factory.mktemp("held")
    (place / BEFORE).touch()
    monkeypatch.setenv(VARIABLE, str(place))
