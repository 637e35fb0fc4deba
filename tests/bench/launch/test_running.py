"""A sweep as one call: what it refuses, what it removes, what it lists, and what it says where nothing is to be run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.errors import DeviceError
from bench.launch.local import LocalExecutor
from bench.launch.running import run_sweep
from bench.machine import devices
from bench.plan.sweep import Sweep
from bench.plan.trial import Trial
from bench.records.store import Store
from tests.bench.records.test_records import record, trial


def run(results: Path, *trials: Trial, sweep: Sweep | None = None, **options: Any) -> str:
    """Runs them without a process of their own, so that nothing may be missing; what was printed."""
    console = Console(file=StringIO(), width=40)
    run_sweep(
        sweep or Sweep(name="mine", description="", trials=trials),
        store=Store(results),
        data=results,
        executor=LocalExecutor(workers=1, data=results),
        console=console,
        **options,
    )
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_record_that_is_to_be_made_anew_stays_where_the_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(wanted: Any) -> None:
        raise DeviceError(f"none of {sorted(wanted)}")

    monkeypatch.setattr(devices, "check", refuse)
    store = Store(tmp_path)
    store.write(record(trial()))
    with pytest.raises(DeviceError, match="pytorch"):
        run(tmp_path, trial(), anew=True)
    assert store.read(trial().id) is not None
