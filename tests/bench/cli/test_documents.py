"""Every command in the README and the documents works as typed: quick ones are run, the others parsed to the end."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.cli.program import application
from bench.cli.run import run
from bench.cli.selection import select, select_trial
from tests.bench.cli.commands import ROOT, command

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("python run_all.py", "python -m bench")


def commands(start: tuple[str, ...]) -> list[str]:
    """What the pages say to type that starts so: whole lines of code, without their comment, and code in prose."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found += re.findall(r"^(?:    )?((?:python|make) .*?)(?: +#.*)?$", text, flags=re.MULTILINE)
        found += re.findall(r"`((?:python|make) [^`]*)`", text)
    unique = dict.fromkeys(line.replace("[SWEEP]", "").strip() for line in found)
    return [line for line in unique if line.startswith(start)]


TYPED = commands(PROGRAMS)


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """The command's name and the values of its parameters; a word that it does not know raises."""
    words = shlex.split(line)
    if words[1] == "run_all.py":
        app = typer.Typer()
        app.command()(run)
        return "run", typer.main.get_command(app).make_context("run_all.py", words[2:]).params
    group: Any = typer.main.get_command(application())
    name, of_group, rest = group.resolve_command(group.make_context("bench", words[3:]), words[3:])
    return str(name), of_group.make_context(name, rest).params


def test_the_pages_hold_commands_of_both_programs() -> None:
    for program in PROGRAMS:
        assert sum(line.startswith(program) for line in TYPED) >= 4


@pytest.mark.parametrize("line", [line for line in TYPED if line not in PROGRAMS])
def test_every_command_parses_and_its_sweep_and_trials_are_there(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    (example,) = re.findall(
        r'^    description = "λ on the adding task"\n(?:(?:    .*)?\n)+', readme, flags=re.MULTILINE
    )
    (tmp_path / "mine.toml").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    _, values = parsed(line)
    if values.get("trial"):
        select_trial(values["trial"], sweep=values["sweep"], results=tmp_path)
    elif "sweep" in values:
        select(values["sweep"] or "quick", where=values["where"], device=values.get("device"))


@pytest.mark.parametrize("line", [line for line in TYPED if line == "python -m bench list" or "--dry-run" in line])
def test_quick_commands_run(line: str) -> None:
    done = command(*shlex.split(line)[1:])
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("line", commands(("make ",)))
def test_every_target_of_make_is_there(line: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run([make, "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_sweep_of_days_says_so_beside_its_command() -> None:
    """The published protocols, and all of the small ones, are not to be started by accident."""
    long = re.findall(r"^    (python run_all\.py paper\S*(?! --dry-run).*)$", PAGES[0].read_text("utf-8"), re.MULTILINE)
    assert len(long) >= 2
    for line in long:
        assert "--dry-run" in line or re.search(r"# .*(hours|day|week)", line), line
