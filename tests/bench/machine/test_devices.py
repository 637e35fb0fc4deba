"""What a framework says of its devices, where importing it fails."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from bench.machine import devices


@pytest.mark.parametrize(
    ("said", "told"), [("Traceback\n  File\nImportError: no libfoo\n", "ImportError: no libfoo"), ("", "no message")]
)
def test_a_framework_that_does_not_import_is_told_in_its_last_line(
    said: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=said)

    monkeypatch.setattr(subprocess, "run", fail)
    report = devices.describe("pytorch")
    assert report.problem == f"importing it fails: {told}"
    assert report.cuda_devices == ()
