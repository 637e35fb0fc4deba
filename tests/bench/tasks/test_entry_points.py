"""Tasks of packages outside of the project, named by the entry point group `skiprnn_bench.tasks`."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import tasks
from bench.errors import SweepError
from bench.tasks.declarations import class_problem
from bench.train.conditions import task_code
from tests.bench.cli.commands import MINI, command

PAGE = Path(__file__).parents[3] / "docs" / "adding-a-task.md"


(MINE,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
# What may stand below the page's task, and what is said of it.
ODD = {
    "Recall.loss = 'mse'": "loss = 'mse' is not one of mean_squared_error, cross_entropy, binary_cross_entropy",
    "Recall.loss = 'cross_entropi'": "loss = 'cross_entropi' is not one of mean_squared_error, cross_entropy, "
    "binary_cross_entropy; did you mean 'cross_entropy'?",
    "Recall.readout = 'all'": "readout = 'all' is not one of last, every",
    "Recall.reported = 'best'": "reported = 'best' is not one of last, best_validation",
    "Recall.default_units = (110, 0)": "default_units = (110, 0) is not a tuple of whole numbers, one a layer",
    "Recall.default_protocol = {}": "default_protocol = {} is not a Protocol",
    "Recall.quality_metric = None": "quality_metric = None is not a name",
    "Recall.higher_is_better = 'no'": "higher_is_better = 'no' is not True or False",
    "Recall.Options = dict": "Options = <class 'dict'> is not derived from TaskOptions",
    "Recall.encoder_macs_per_step = -1": "encoder_macs_per_step = -1 is not a number of at least 0",
    "del Recall.summary": "does not say summary; bench/tasks/base.py tells what each is",
    "class Recall(GeneratedTask): name = 'recall'": "does not say default_protocol, loss, quality_metric, summary, "
    "generate, input_size, length, output_size, score;",
}


def install(folder: Path, points: str, *, code: str | None = None) -> None:
    """A package as pip leaves it: a module `mine`, and the metadata with its entry points."""
    (folder / "mine.py").write_text(MINE if code is None else code, encoding="utf-8")
    metadata = folder / "mine-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{tasks.ENTRY_POINTS}]\n{points}\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test finds its own package, and leaves none to the next."""
    monkeypatch.syspath_prepend(tmp_path)
    _forget()
    yield
    _forget()


def _forget() -> None:
    import sys

    tasks._entries.cache_clear()
    tasks._load.cache_clear()
    for name in ("mine", "packed", "packed.inner"):
        sys.modules.pop(name, None)


def test_a_task_of_ones_own_is_listed_and_trains_and_is_reported(tmp_path: Path) -> None:
    install(tmp_path, "recall = mine:Recall")
    listed = command("-m", "bench", "list", PYTHONPATH=str(tmp_path))
    assert "recall the first symbol" in listed.stdout, listed.stderr

    sweep = tmp_path / "mini.toml"
    sweep.write_text(MINI.replace("adding", "recall").replace('["pytorch", "tensorflow"]', '"pytorch"'))
    places = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    done = command("run_all.py", str(sweep), *places, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("results/**/record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["trial"]["task"] == "recall"
    assert (tmp_path / "reports" / "mini" / "index.html").is_file()


@pytest.mark.parametrize(
    ("points", "code", "message"),
    [
        ("adding = mine:Recall", None, "adding = mine:Recall: the task's name is taken by bench.tasks.adding"),
        ("recall = absent:Recall", None, "cannot be loaded: ModuleNotFoundError"),
        ("recall = mine:Recal", None, "cannot be loaded: AttributeError"),
        ("recall = mine:Recall", "1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("recall = mine:Recall", "Recall = 1", "is not a class derived from bench.tasks.base.Task"),
        ("recal = mine:Recall", None, "the task calls itself 'recall'; give both the same name"),
        *(("recall = mine:Recall", MINE + code, f"recall = mine:Recall: {words}") for code, words in ODD.items()),
    ],
)
def test_a_broken_package_is_one_line(tmp_path: Path, points: str, code: str | None, message: str) -> None:
    install(tmp_path, points, code=code)
    with pytest.raises(SweepError) as caught:
        tasks.task_classes()
    assert message in str(caught.value)


def test_a_broken_package_does_not_stop_the_projects_own_tasks(tmp_path: Path) -> None:
    install(tmp_path, "recall = absent:Recall")
    assert tasks.task_class("adding") is tasks.TASKS["adding"]


def test_a_mistyped_name_finds_the_nearest_of_both(tmp_path: Path) -> None:
    install(tmp_path, "recall = mine:Recall")
    with pytest.raises(SweepError, match="unknown task 'recal'; did you mean 'recall'"):
        tasks.task_class("recal")


def test_a_task_may_choose_its_loss_by_its_options(tmp_path: Path) -> None:
    install(tmp_path, "recall = mine:Recall", code=f"{MINE}\nRecall.loss = property(lambda self: 'cross_entropy')")
    assert tasks.build_task("recall", {}).loss == "cross_entropy"


def test_the_projects_own_tasks_say_what_they_must() -> None:
    assert {name: class_problem(task) for name, task in tasks.TASKS.items()} == dict.fromkeys(tasks.TASKS, "")


def test_the_code_of_a_task_is_its_whole_package_or_its_one_file(tmp_path: Path) -> None:
    install(tmp_path, "recall = mine:Recall")
    module, package = tasks.task_class("recall"), tmp_path / "packed"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text("from mine import Recall as Base\nclass Recall(Base): ...\n", encoding="utf-8")
    inner = importlib.import_module("packed.inner").Recall
    assert task_code(tasks.TASKS["adding"]) == "", "the project's own is in its checksum"
    before = [task_code(module), task_code(inner)]
    assert [re.sub("[0-9a-f]{16}", "…", told) for told in before] == ["mine …", "packed …, mine …"]
    (package / "other.py").touch()
    assert task_code(module) == before[0]
    assert task_code(inner) != before[1]
    (tmp_path / "mine.py").write_text(MINE + "# edited", encoding="utf-8")
    assert task_code(module) != before[0]
