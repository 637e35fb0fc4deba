"""How both programs start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.cli.start import start
from tests.bench.cli.commands import ROOT, command

# Prints, has a process print that it starts, and tells by its exit code whether the three numbers are still its own.
PRINTING = """
import os, subprocess, sys
from bench.cli.start import start
def program():
    with open(os.devnull) as file:
        sys.stdin.read()
        print("out", flush=True)
        print("err", file=sys.stderr, flush=True)
        code = subprocess.run([sys.executable, "-c", "import os; print(); os.fstat(0); os.fstat(2)"]).returncode
        sys.exit(code or (0 if file.fileno() > 2 else 3))
start(program)
"""


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


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_program_that_is_started_without_its_standard_streams_runs(closed: str) -> None:
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", PRINTING]
    done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert ("out" in done.stdout, done.stderr) == (">&-" not in closed.split(), "" if "2>&-" in closed else "err\n")


def test_what_the_encoding_of_the_output_lacks_is_shown_as_a_question_mark() -> None:
    program = "from bench.cli.start import start; start(lambda: print('λ – 0.5'))"
    done = command("-c", program, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "? ? 0.5\n"), done.stderr
