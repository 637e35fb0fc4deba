"""The commands about whole stores: what they print, and their exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.program import application
from bench.errors import RecordError
from bench.records.store import Store
from tests.bench.records.test_records import record, rewrite, trial


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(application(), [str(word) for word in words])
    if isinstance(done.exception, RecordError):  # what `start` turns into one line
        raise done.exception
    return done.exit_code, done.output


def test_verify_is_quiet_about_a_sound_store_and_exits_1_for_one_that_is_not(tmp_path: Path) -> None:
    path = Store(tmp_path).write(record(trial()))
    assert command("verify", "--results", tmp_path) == (0, f"{tmp_path}: 1 trial, nothing off\n")
    rewrite(path, quality=0.0)
    code, output = command("verify", "--results", tmp_path)
    assert code == 1
    assert f"{path}: was changed after it was written" in output
    assert output.endswith("1 trial, 1 off\n")


def test_merge_exits_1_where_something_is_refused(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a", tmp_path / "b"
    Store(theirs).write(record(trial(), quality=0.25))
    assert command("merge", ours, theirs) == (0, "1 taken in, 0 there already, 0 refused\n")
    assert command("merge", ours, theirs) == (0, "0 taken in, 1 there already, 0 refused\n")
    Store(theirs).write(record(trial(), quality=0.5))
    code, output = command("merge", ours, theirs)
    assert code == 1
    assert output.startswith(f"not taken in: {theirs / 'trials' / trial().id}: differs from")


def test_a_trial_that_stands_in_several_folders_is_counted_once(tmp_path: Path) -> None:
    ours, theirs, others = (tmp_path / name for name in "abc")
    for folder in (theirs, others):
        Store(folder).write(record(trial(), status="failed", error="killed"))
        Store(folder).write(record(trial(seed=1)))
    Store(others).write(record(trial()))  # which did not finish in the first folder
    assert command("merge", ours, theirs, others) == (0, "2 taken in, 0 there already, 0 refused\n")


def test_adopt_says_what_it_took_in(tmp_path: Path) -> None:
    Store(tmp_path).write(record(trial()))
    (tmp_path / "trials").rename(tmp_path / "mine")
    assert command("adopt", "--results", tmp_path) == (0, "1 taken in, 0 there already, 0 refused\n")
    assert Store(tmp_path).trial_ids() == [trial().id]


@pytest.mark.parametrize("words", [("verify", "--results"), ("adopt", "--results"), ("merge", "a")])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(RecordError, match="nowhere"):
        command(*words, tmp_path / "nowhere")
