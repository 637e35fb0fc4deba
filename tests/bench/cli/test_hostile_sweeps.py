"""A sweep file from someone else: its text is shown as text, in the terminal and on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.program import application
from bench.cli.tensorboard import link_runs
from bench.errors import SweepError
from bench.plan import sweep as sweeps
from bench.records.record import Record, identity
from bench.records.store import Store
from tests.bench.cli.commands import MINI, command, save_nothing

MARKUP = "[/bold] [red]x[/red] [link=http://example.com]y[/link]"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_a_description_is_text_on_the_page_and_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.writing.save", save_nothing)
    path = tmp_path / "mini.toml"
    path.write_text(MINI.replace("a sweep in seconds", f"{MARKUP} {SCRIPT}"))
    sweep = sweeps.load(str(path))
    store = Store(tmp_path / "results")
    for trial in sweep.trials:
        failed = Record(**identity(trial), status="failed", error=f"{MARKUP} {SCRIPT}")
        store.write(failed)
    places = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    done = CliRunner().invoke(application(), ["report", str(path), *places])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "reports" / "mini" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page

    planned = command("run_all.py", str(path), "--dry-run", *places)
    assert planned.returncode == 0, planned.stderr


def test_list_shows_brackets_of_a_description_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.cli.list import list_everything

    (tmp_path / "mine.toml").write_text(MINI.replace("a sweep in seconds", MARKUP))
    monkeypatch.setattr(sweeps, "SWEEPS", tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    list_everything()
    assert MARKUP in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        'task = "adding"\ncell = "\\u001b]0;x\\u0007"\nframework = "pytorch"',
        'task = "[/red]\\u001b[0m"\ncell = "lstm"\nframework = "pytorch"',
        '"\\u001b[31m" = 1',
    ],
)
def test_a_refusal_quotes_control_characters_written_out(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mini.toml"
    path.write_text(f"[[grid]]\n{text}\n", encoding="utf-8")
    with pytest.raises(SweepError, match=r"\\x1b") as caught:
        sweeps.load(str(path))
    assert str(caught.value).isprintable()


def test_runs_in_tensorboard_bear_the_trials_labels(tmp_path: Path) -> None:
    path = tmp_path / "mini.toml"
    path.write_text(MINI)
    sweep = sweeps.load(str(path))
    store = Store(tmp_path / "results")
    ran = sweep.trials[0]
    events = store.folder_of(ran.id) / "tensorboard"
    events.mkdir(parents=True)
    folder = tmp_path / "runs"
    folder.mkdir()
    assert link_runs(sweep, store=store, folder=folder) == 1
    (run,) = folder.iterdir()
    assert run.name == f"adding length=6 skip_gru pytorch seed=0 {ran.id[:8]}"
    assert run.resolve() == events.resolve()
