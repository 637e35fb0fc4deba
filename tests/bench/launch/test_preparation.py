"""Data are prepared by one trial at a time, and nobody waits who prepares nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bench.launch.preparation import one_at_a_time
from tests.bench.disks import failing


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_keeps_nobody_waiting(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.lockf", failing(number))
    with one_at_a_time(tmp_path):
        pass
