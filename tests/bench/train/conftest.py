"""Runs trials of a known task with a known learner, from the plan to the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import tasks
from bench.records.record import Record
from bench.records.store import Store
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
    """`run_known(learner, task=Known, **fields of the trial)` gives the record."""

    def run(learner: KnownLearner, *, task: type[Known] = Known, **fields: Any) -> Record:
        monkeypatch.setitem(tasks.TASKS, "known", task)
        monkeypatch.setattr(training, "build_learner", lambda framework, **arguments: learner)
        return training.run_trial(known_trial(**fields), store=store)

    return run
