"""What a record says of the code and the libraries that it stood on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.machine import environment

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_commit_is_the_checkouts():
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert environment.project()["commit"].removesuffix("-changed") == head


def test_without_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "_git", lambda *_: "")
    assert list(environment.project()) == ["version"]


def test_linear_algebra_is_named_with_its_threads():
    np.linalg.inv(np.eye(2))
    with threadpool_limits(limits=1, user_api="blas"):
        assert ", threads 1" in environment.blas()
