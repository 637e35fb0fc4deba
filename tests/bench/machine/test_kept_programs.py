"""Compiled programs that are kept: whole, for whoever may trust them, and at no trial's cost.

A process's own folder is where TensorFlow would read and write; the tests write there in its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.machine import kept_programs
from bench.machine.kept_programs import cache_folder, programs_kept
from bench.machine.variables import PROGRAMS_OPTION, PROGRAMS_VARIABLE, library_settings

PROGRAM = "xla_compile_cache__1__2__XLA_CPU_JIT.pb"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SKIPRNN_BENCH_CACHE", str(folder))
    monkeypatch.setenv(PROGRAMS_VARIABLE, "--tf_xla_max_cluster_size=7")
    monkeypatch.setattr(kept_programs, "_begun", [])
    return folder


def told() -> Path | None:
    """Where TensorFlow is told to keep programs."""
    for word in os.environ[PROGRAMS_VARIABLE].split():
        if word.startswith(PROGRAMS_OPTION):
            return Path(word.removeprefix(PROGRAMS_OPTION))
    return None


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[..., dict[str, bytes]]:
    """A process that compiles: returns what was at hand for it."""

    def run(
        compiled: dict[str, bytes] | None = None, *, configuration: str = "a", threads: int = 1
    ) -> dict[str, bytes]:
        monkeypatch.setattr(kept_programs, "_begun", [])
        with programs_kept(configuration, threads=threads):
            folder = told()
            assert folder is not None
            at_hand = {path.name: path.read_bytes() for path in folder.iterdir()}
            for name, content in (compiled or {}).items():
                (folder / name).write_bytes(content)
        assert told() is None, "the user's own flags alone"
        assert not folder.exists()
        return at_hand

    return run


def test_a_program_is_at_hand_for_the_next_process_of_its_configuration(
    process: Callable[..., dict[str, bytes]],
) -> None:
    assert process({PROGRAM: b"code"}) == {}
    assert process() == {PROGRAM: b"code"}
    assert process(configuration="b") == {}
    assert process(threads=2) == {}


def test_settings_of_the_user_and_another_processor_have_programs_of_their_own(
    process: Callable[..., dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    process({PROGRAM: b"code"})
    with monkeypatch.context() as changed:
        changed.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
        assert process() == {}
    with monkeypatch.context() as changed:
        changed.setattr(kept_programs, "processor_features", lambda: "sse2")
        assert process() == {}
    with monkeypatch.context() as changed:
        changed.setattr(kept_programs, "package_versions", lambda: {"tensorflow": "2.99"})
        assert process() == {}
    assert process() == {PROGRAM: b"code"}


def test_what_is_no_longer_whole_is_removed_and_compiled_again(
    process: Callable[..., dict[str, bytes]], cache: Path
) -> None:
    process({PROGRAM: b"code"})
    (kept,) = cache.glob("tensorflow/*/*")
    kept.write_bytes(b"cod")
    assert process({PROGRAM: b"code again"}) == {}
    assert process() == {PROGRAM: b"code again"}


def test_the_first_of_two_processes_that_compiled_the_same_is_believed(
    process: Callable[..., dict[str, bytes]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process({PROGRAM: b"early"})
    (kept,) = cache.glob("tensorflow/*/*")
    aside = kept.rename(cache / "aside")
    monkeypatch.setattr(kept_programs, "_begun", [])
    with programs_kept("a", threads=1):
        folder = told()
        assert folder is not None
        (folder / PROGRAM).write_bytes(b"late")
        aside.rename(kept)
    assert process() == {PROGRAM: b"early"}


def test_a_trial_that_fails_keeps_what_it_compiled(process: Callable[..., dict[str, bytes]]) -> None:
    @programs_kept("a", threads=1)
    def fail() -> None:
        folder = told()
        assert folder is not None
        (folder / PROGRAM).write_bytes(b"code")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert process() == {PROGRAM: b"code"}


def nothing_is_kept(capsys: pytest.CaptureFixture[str]) -> str:
    """What is said where TensorFlow is told nothing, and a trial goes on."""
    before = os.environ[PROGRAMS_VARIABLE]
    with programs_kept("a", threads=1):
        assert os.environ[PROGRAMS_VARIABLE] == before
    return capsys.readouterr().out


def test_native_code_comes_from_no_folder_that_others_may_write_in(
    process: Callable[..., dict[str, bytes]], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process({PROGRAM: b"code"})
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)
    kept_programs._begun.clear()  # another process
    said = nothing_is_kept(capsys)
    assert said == (
        f"compiled programs are not kept: {cache}: others may write in it; "
        "remove it, or name another folder in SKIPRNN_BENCH_CACHE\n"
    )


def test_a_disk_with_no_room_costs_no_trial(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kept_programs, "LEAST_FREE", 1 << 62)
    assert "the disk has" in nothing_is_kept(capsys)
    cache.rmdir()
    cache.touch()
    assert "a file stands in its place" in nothing_is_kept(capsys)


def test_a_disk_that_fills_up_meanwhile_costs_no_trial(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with programs_kept("a", threads=1):
        folder = told()
        assert folder is not None
        (folder / PROGRAM).write_bytes(b"code")
        (cache / "tensorflow").touch()
    assert "compiled programs are not kept: " in capsys.readouterr().out


def test_whatever_else_stands_in_the_cache_costs_no_trial(
    process: Callable[..., dict[str, bytes]], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / "tensorflow").mkdir(parents=True, mode=0o700)
    cache.chmod(0o700)
    (cache / "tensorflow" / "notes").touch()
    process({PROGRAM: b"code"})
    assert process() == {PROGRAM: b"code"}
    (kept,) = cache.glob("tensorflow/*/*")
    kept.unlink()
    kept.mkdir()
    process()
    assert "compiled programs are not kept: " not in capsys.readouterr().out


def test_a_user_who_keeps_programs_elsewhere_or_nowhere_is_obeyed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as changed:
        changed.setenv(PROGRAMS_VARIABLE, f"{PROGRAMS_OPTION}/elsewhere")
        assert nothing_is_kept(capsys) == ""
    monkeypatch.setenv("SKIPRNN_BENCH_CACHE", "")
    assert nothing_is_kept(capsys) == ""
    assert not cache.exists()


def test_a_process_is_told_once(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TensorFlow reads its flags when it compiles first, and goes on to use that folder."""
    with programs_kept("a", threads=1):
        assert nothing_is_kept(capsys) == ""
    assert nothing_is_kept(capsys) == ""


def test_what_was_used_longest_ago_makes_room(
    process: Callable[..., dict[str, bytes]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_programs, "MOST_BYTES", 25)
    for age, configuration in ((3, "old"), (2, "older by use"), (1, "new")):
        before = set(cache.glob("tensorflow/*"))
        process({PROGRAM: configuration.encode().ljust(10)[:10]}, configuration=configuration)
        for key in set(cache.glob("tensorflow/*")) - before:
            os.utime(key, (1e9 - age, 1e9 - age))
        if configuration == "older by use":
            assert process(configuration="old"), "used again"
    assert not process(configuration="older by use")
    assert process(configuration="old")
    assert process(configuration="new")


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKIPRNN_BENCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert cache_folder() == Path("/home/ada/.cache/skiprnn-bench")
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cache_folder() == Path("/home/ada/.cache/skiprnn-bench")
    monkeypatch.setenv("XDG_CACHE_HOME", "/fast/cache")
    assert cache_folder() == Path("/fast/cache/skiprnn-bench")
    monkeypatch.setenv("SKIPRNN_BENCH_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def test_a_record_tells_of_the_users_settings_alone() -> None:
    ours = f"{PROGRAMS_OPTION}/somewhere"
    assert library_settings({PROGRAMS_VARIABLE: f" {ours}"}) == ""
    assert library_settings({PROGRAMS_VARIABLE: f"--tf_xla_auto_jit=2 {ours}"}) == "TF_XLA_FLAGS=--tf_xla_auto_jit=2"
