"""The seventh task of `docs/adding-a-task.md`, added as the page says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bench import tasks
from bench.plan.trial import build_trial
from bench.records.store import Store
from bench.train.training import run_trial
from impls.contract import installed
from tests.bench.tasks.checks import check_batches

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-task.md"


@pytest.fixture
def recall(tmp_path: Path, monkeypatch) -> None:
    """Writes the page's code to a file, imports it, and adds it to the registry."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    path = tmp_path / "recall.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("bench.tasks.recall", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(tasks.TASKS, "recall", module.Recall)


def test_the_page_has_fewer_than_sixty_lines():
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.usefixtures("recall")
def test_its_batches_are_as_every_tasks():
    task, again = (tasks.build_task("recall", {"symbols": 3}) for _ in range(2))
    check_batches(task, again, size=16)
    (batch,) = task.evaluation_batches("test", size=8, sequences=8)
    assert (batch.inputs[:, 0].argmax(axis=1) == batch.targets).all()


@pytest.mark.usefixtures("recall")
@pytest.mark.parametrize("framework", ["pytorch", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_it_trains(tmp_path: Path, framework: str):
    if not installed(framework):
        pytest.skip(f"{framework} is not installed")
    content = {"task": "recall", "cell": "skip_gru", "framework": framework, "units": 8, "options": {"length": 4}}
    protocol = {"steps": 3, "evaluation_sequences": 32}
    trial = build_trial(content | {"protocol": protocol}, where="page")
    record = run_trial(trial, store=Store(tmp_path))
    assert (record.status, record.trial.task, record.quality_metric) == ("ok", "recall", "accuracy")
