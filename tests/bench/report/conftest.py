"""The stored sweep and its report, written once for all tests of the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.plan.trial import Trial
from bench.report import writing
from bench.report.figures.style import Picture
from bench.report.speed import page as speed_page
from bench.tasks import TASKS
from bench.tasks.base import TaskOptions
from bench.tasks.digits import Digits
from tests.bench.report.stored import SWEEP, Stored, check_nothing_runs_out, trial, write_stored


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return write_stored(tmp_path_factory.mktemp("results"))


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out, as for every report, but not written in each format, which is most of its time.

    Nothing runs out of any of them.
    """

    def lay_out(picture: Picture, *, folder: Path) -> None:
        picture.figure.draw_without_rendering()
        check_nothing_runs_out(picture)
        folder.mkdir(exist_ok=True)
        (folder / f"{picture.name}.svg").write_text("<svg/>")
        for ending in ("png", "pdf", "csv"):
            (folder / f"{picture.name}.{ending}").touch()

    for module in (writing, speed_page):
        monkeypatch.setattr(module, "save", lay_out)


class AnyValue(TaskOptions):
    """One option, called whatever it is."""

    value: Any = 0


class OwnTask(Digits):
    """A task of the user's own, with that option."""

    name = "mine"
    Options = AnyValue


@pytest.fixture
def own_trial(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trial]:
    """A trial of that task, by the option's value."""

    def made(value: object, *, framework: str = "pytorch", seed: int = 0) -> Trial:
        return trial("mine", "lstm", framework, seed=seed).model_copy(update={"options": {"value": value}})

    monkeypatch.setitem(TASKS, "mine", OwnTask)
    return made


@pytest.fixture(scope="session")
def page(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write_report(
        SWEEP,
        results=stored.results,
        reports=tmp_path_factory.mktemp("reports"),
        trials=stored.trials,
        command="python run_all.py stored",
        description="A stored sweep.",
    )
