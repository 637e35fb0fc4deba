"""`reproduce`: a recorded trial trained again, confirmed or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.program import application
from bench.errors import RecordError
from bench.launch import running
from bench.plan.sweep import Sweep
from bench.plan.trial import Trial
from bench.records.listing import Listing, write_listing
from bench.records.store import Store
from tests.bench.cli.commands import MINI, command
from tests.bench.records.test_records import record, trial


def test_what_was_recorded_is_confirmed_bit_for_bit_and_what_was_altered_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, results, into = tmp_path / "mini.toml", tmp_path / "results", tmp_path / "again"
    sweep.write_text(f"{MINI}budget_cost = [0.0, 0.001]\n")
    done = command("run_all.py", str(sweep), "--where", "framework=pytorch", "--no-report", "--results", str(results))
    assert done.returncode == 0, done.stderr
    store = Store(results)
    trial_id, other_id = store.trial_ids()
    first, other = store.read(trial_id), store.read(other_id)
    assert first is not None
    assert first.loss is not None
    store.write(first.model_copy(update={"loss": first.loss + 1e-3}))

    words = ("reproduce", "--results", str(results), "--into", str(into))
    again = command("-m", "bench", *words, str(sweep), "--where", "framework=pytorch")
    assert again.returncode == 1, again.stdout + again.stderr
    assert f"{trial_id}: differs in loss" in again.stdout
    assert "1 of 2 confirmed, 1 of them bit for bit" in again.stdout
    assert store.read(other_id) == other

    store.write(first)
    monkeypatch.setattr(running, "run_sweep", lambda *_, **__: None)  # it has run
    right = CliRunner().invoke(application(), [*words])
    assert right.exit_code == 0, right.output
    assert "2 of 2 confirmed, 2 of them bit for bit" in right.output
    assert store.read(trial_id) == first


def refused(*words: object) -> str:
    done = CliRunner().invoke(application(), ["reproduce", *map(str, words)])
    assert isinstance(done.exception, RecordError)
    return str(done.exception)


def test_a_folder_without_finished_trials_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: holds no finished trial" in refused("--results", tmp_path)
    Store(tmp_path).write(record(trial(), status="failed"))
    assert "holds no finished trial of sweep 'digits'" in refused("digits", "--results", tmp_path)


def test_the_first_records_are_never_replaced(tmp_path: Path) -> None:
    Store(tmp_path).write(record(trial()))
    write_listing(tmp_path, Listing(sweep="reproduce", trials=(trial().id,)))
    assert "would be replaced" in refused("--results", tmp_path, "--into", tmp_path / ".." / tmp_path.name)
    assert Store(tmp_path).trial_ids() == [trial().id]


@pytest.mark.parametrize("lists", [(), ("mine",), ("mine", "reproduce")])
def test_records_of_other_runs_are_never_replaced(tmp_path: Path, lists: tuple[str, ...]) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    for folder in (first, other):
        Store(folder).write(record(trial()))
    for name in lists:
        write_listing(other, Listing(sweep=name, trials=(trial().id,)))
    assert "records of other runs stand there" in refused("--results", first, "--into", other)
    assert Store(other).trial_ids() == [trial().id]


def recorded_again(into: Path, listed: list[Trial], finished: list[Trial]) -> None:
    write_listing(into, Listing(sweep="reproduce", trials=tuple(one.id for one in listed)))
    for one in finished:
        Store(into).write(record(one))


BOTH = [trial(), trial(seed=1)]


@pytest.mark.parametrize(
    ("listed", "finished", "anew"),
    [(BOTH, BOTH[:1], False), (BOTH[::-1], [], False), (BOTH, BOTH, True), (BOTH[:1], BOTH[:1], True)],
    ids=["stopped", "stopped before any finished", "all are through", "another draw"],
)
def test_what_a_stopped_draw_finished_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: list[Trial], finished: list[Trial], anew: bool
) -> None:
    first, into = tmp_path / "first", tmp_path / "into"
    for one in BOTH:
        Store(first).write(record(one))
    recorded_again(into, listed, finished)
    asked = []

    def stopped(sweep: Sweep, **options: object) -> None:
        asked.append(options["anew"])
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_sweep", stopped)
    done = CliRunner().invoke(application(), ["reproduce", "--results", str(first), "--into", str(into)])
    assert done.exit_code == 130
    assert asked == [anew]
    assert len(Store(into).trial_ids()) == len(finished)


def test_conditions_without_a_sweep_are_refused(tmp_path: Path) -> None:
    Store(tmp_path).write(record(trial()))
    assert "name it" in refused("--results", tmp_path, "--where", "cell=lstm")
