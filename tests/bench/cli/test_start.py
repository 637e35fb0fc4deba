"""How both programs start."""

from __future__ import annotations

import os

import pytest

from bench.cli.start import start


def test_ctrl_c_while_a_program_imports_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def program() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        start(program)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_word_that_is_no_text_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of such a name would stand in the command line of every record, which is JSON."""
    monkeypatch.setattr("sys.argv", ["run_all.py", "--results", os.fsdecode(b"A\xe9")])
    with pytest.raises(SystemExit) as ended:
        start(lambda: pytest.fail("the program was started"))
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: A\\udce9: holds bytes that are no UTF-8, which no record could tell; give it another name"
    ]


def test_how_the_program_itself_is_called_is_no_word_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [os.fsdecode(b"A\xe9/run_all.py"), "quick"])
    started: list[bool] = []
    start(lambda: started.append(True))
    assert started


def test_an_old_python_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 14))
    with pytest.raises(SystemExit) as ended:
        start(lambda: pytest.fail("the program was started"))
    monkeypatch.undo()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: this is Python 3.10, 3.11 or newer is needed: ")


def test_another_system_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SystemExit) as ended:
        start(lambda: pytest.fail("the program was started"))
    monkeypatch.undo()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: this is darwin, and sweeps run on Linux: ")
