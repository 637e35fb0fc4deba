"""What a record says of the code and the libraries that it stood on."""

from __future__ import annotations

import platform
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


def test_a_commit_is_told_once_there_is_one_and_marked_where_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "bench" / "machine" / "environment.py"))

    def git(*words: str) -> str:
        user = ("-c", "user.name=n", "-c", "user.email=e")
        return subprocess.run(
            ["git", "-C", str(tmp_path), *user, *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit() -> str | None:
        environment._git.cache_clear()
        return environment.project().get("commit")

    try:
        assert commit() is None
        git("init", "--quiet")
        assert commit() is None
        (tmp_path / "file").write_text("1", encoding="utf-8")
        git("add", "file")
        git("commit", "--quiet", "--no-verify", "--message", "m")
        head = git("rev-parse", "HEAD")
        assert commit() == head
        (tmp_path / "file").write_text("2", encoding="utf-8")
        assert commit() == f"{head}-changed"
    finally:
        environment._git.cache_clear()


def test_a_processor_that_linux_does_not_tell_of_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path, **options: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", gone)
    monkeypatch.setattr(platform, "processor", lambda: "a chip")
    assert environment.processor.__wrapped__() == "a chip"


def test_linear_algebra_is_named_with_its_threads():
    np.linalg.inv(np.eye(2))
    with threadpool_limits(limits=1, user_api="blas"):
        assert ", threads 1" in environment.blas()


def test_processors_of_one_name_are_told_apart_by_their_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud sells several under one name; their speed, and the last bits of their numbers, differ."""

    def told(**numbers: str) -> str:
        known = {"model name": "AMD EPYC"} | {name.replace("_", " "): number for name, number in numbers.items()}
        monkeypatch.setattr(environment, "_told_of_processor", lambda name: known.get(name, ""))
        environment.processor.cache_clear()
        return environment.processor()

    try:
        assert told() == "AMD EPYC"
        assert told(cpu_family="25", model="1", stepping="1") == "AMD EPYC (cpu family 25, model 1, stepping 1)"
        assert told(cpu_family="25", model="17", stepping="1") != told(cpu_family="25", model="1", stepping="1")
    finally:
        environment.processor.cache_clear()
