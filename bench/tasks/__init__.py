"""The tasks, by name. To add one: write a file, add a line to `TASKS`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import SweepError, explain
from bench.tasks.adding import Adding
from bench.tasks.base import Task, TaskOptions
from bench.tasks.charades import Charades
from bench.tasks.digits import Digits
from bench.tasks.frequency import Frequency
from bench.tasks.imdb import Imdb
from bench.tasks.mnist import Mnist
from bench.tasks.ucf101 import Ucf101
from impls.errors import nearest

TASKS: dict[str, type[Task]] = {task.name: task for task in (Adding, Frequency, Mnist, Charades, Imdb, Ucf101, Digits)}

DEFAULT_DATA = Path("data")


def task_class(name: str) -> type[Task]:
    """The task of this name. Raises `SweepError` with the nearest right one."""
    if name not in TASKS:
        raise SweepError(f"unknown task {name!r}{nearest(name, TASKS)} (tasks: {', '.join(TASKS)})")
    return TASKS[name]


def task_options(name: str, options: dict[str, Any]) -> TaskOptions:
    """Validated options of a task. Raises `SweepError` naming the option."""
    of_task = task_class(name).Options
    try:
        return of_task.model_validate(options)
    except ValidationError as error:
        raise SweepError(explain(error, of_task, where=f"options of {name}")) from None


def build_task(name: str, options: dict[str, Any], *, data: Path = DEFAULT_DATA) -> Task:
    """The task with its options; data are read at first use."""
    return task_class(name)(task_options(name, options), data=data)
