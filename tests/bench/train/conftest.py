"""Runs trials of a known task with a known learner, from the plan to the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import tasks
from bench.records.record import Record
from bench.records.store import Store
from bench.tasks import DEFAULT_DATA
from bench.train import training
from tests.bench.train.known import Known, KnownLearner, known_trial

RunKnown = Callable[..., Record]


@pytest.fixture(autouse=True)
def known_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "known", Known)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def run_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> RunKnown:
    """`run_known(learner, task=Known, **fields of the trial)` gives the record.

    The steps that are timed after training are left out unless asked for, so that a learner's steps are training's.
    """

    def run(
        learner: KnownLearner,
        *,
        task: type[Known] = Known,
        times_reported_step: bool = False,
        data: Path = DEFAULT_DATA,
        **fields: Any,
    ) -> Record:
        if not times_reported_step:
            monkeypatch.setattr(training, "reported_step_milliseconds", lambda learner, batches: None)
        monkeypatch.setitem(tasks.TASKS, "known", task)
        monkeypatch.setattr(training, "build_learner", lambda framework, **arguments: learner)
        return training.run_trial(known_trial(**fields), store=store, data=data)

    return run
