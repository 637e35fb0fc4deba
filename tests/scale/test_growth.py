"""The harness's own work grows with the trials of a sweep, not with their square: counted, not timed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.cli import watch
from bench.launch.duration.estimate import but_for_seed
from bench.records.record import Record
from bench.records.running.leases import Watch
from bench.records.seen import SeenRecords
from tests.scale.measured import Operations, run, sweep_of

SIZES = (40, 80, 160)


@pytest.fixture(scope="module")
def operations() -> Operations:
    return Operations()  # once: Python keeps what hears of them until it ends


@pytest.fixture(autouse=True)
def quick_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.launch.duration.estimate.slowdown", lambda: 1.0)


def grows_evenly(counts: list[int]) -> bool:
    few, twice, four = counts
    return four - twice <= 2.2 * (twice - few)


def test_files_and_folders_that_a_run_touches(tmp_path: Path, operations: Operations) -> None:
    run(sweep_of(4), tmp_path / "first")  # what is done once
    counts = []
    for size in SIZES:
        with operations.counting():
            assert run(sweep_of(size), tmp_path / str(size)) == {"ok": size}
        counts.append(operations.counted.total())
    assert grows_evenly(counts), counts


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records were read, in one number."""
    count = [0]
    validate = Record.model_validate.__func__

    def counted(kind: type[Record], *values: object, **options: object) -> Record:
        count[0] += 1
        return validate(kind, *values, **options)

    monkeypatch.setattr(Record, "model_validate", classmethod(counted))
    return count


def test_records_that_are_read(tmp_path: Path, validated: list[int]) -> None:
    counts = []
    for size in SIZES:
        validated[0] = 0
        run(sweep_of(size), tmp_path / str(size))
        counts.append(validated[0])
    assert grows_evenly(counts), counts
    assert counts[-1] <= 6 * SIZES[-1], counts


def test_a_second_look_at_a_sweep_reads_no_record(tmp_path: Path, validated: list[int]) -> None:
    sweep = sweep_of(40)
    run(sweep, tmp_path)
    records, leases = SeenRecords(tmp_path, (trial.id for trial in sweep.trials)), Watch()
    alike = {trial.id: but_for_seed(trial) for trial in sweep.trials}
    for expected in (40, 0):
        validated[0] = 0
        console = Console(file=io.StringIO())
        looked = {"results": tmp_path, "records": records, "leases": leases, "console": console}
        assert watch.show(sweep, alike, **looked, every=None) == 0
        assert validated[0] == expected
