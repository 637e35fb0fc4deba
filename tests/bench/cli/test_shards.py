"""Shards of a sweep, run where nothing is shared, and joined."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.program import application
from bench.plan import sweep as sweeps
from bench.plan.shard import Shard
from bench.records.listing import read_listing
from bench.records.store import Store
from tests.bench.cli.commands import MINI
from tests.faults.fake_learner import FakeExecutor


def test_shards_run_apart_are_the_sweep_when_they_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials learn nothing: which of them run, and are joined, is the question."""
    monkeypatch.setattr("bench.cli.run.make_executor", lambda *_, **__: FakeExecutor())
    monkeypatch.setattr("bench.launch.duration.estimate.slowdown", lambda: 1.0)
    runner, program = CliRunner(), application()
    mini = MINI.replace("units = 3", "units = 3\nseed = [0, 1, 2, 3]").replace(', "tensorflow"', "")
    (tmp_path / "mini.toml").write_text(mini)
    sweep = sweeps.load(str(tmp_path / "mini.toml"))
    of_shard = {
        number: sorted(one.id for one in sweep.trials if Shard(number=number, of=2).holds(one)) for number in (1, 2)
    }
    for number in (1, 2):
        words = ["run", str(tmp_path / "mini.toml"), "--shard", f"{number}/2"]
        words += ["--results", str(tmp_path / str(number)), "--reports", str(tmp_path / "reports")]
        done = runner.invoke(program, words)
        assert done.exit_code == 0, done.output
        assert Store(tmp_path / str(number)).trial_ids() == of_shard[number]
    assert not (tmp_path / "reports").exists()
    merged = runner.invoke(program, ["merge", str(tmp_path / "all"), str(tmp_path / "1"), str(tmp_path / "2")])
    assert merged.exit_code == 0, merged.output
    assert merged.output == "4 taken in, 0 there already, 0 refused\n"
    listing = read_listing(tmp_path / "all", "mini")
    assert listing is not None
    assert sorted(listing.trials) == Store(tmp_path / "all").trial_ids()
