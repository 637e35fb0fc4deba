"""The tasks, by name. To add one: write a file, add a line to `TASKS`; or leave it in a package of your own.

A package of one's own names its tasks in the entry point group `skiprnn_bench.tasks`. A name rather than a file's
path, so that a trial's id does not hang on where a file lies, and no sweep file or record can name code to execute.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import SweepError, explain
from bench.tasks.adding import Adding
from bench.tasks.base import Task, TaskOptions
from bench.tasks.charades import Charades
from bench.tasks.declarations import class_problem
from bench.tasks.digits import Digits
from bench.tasks.frequency import Frequency
from bench.tasks.imdb import Imdb
from bench.tasks.mnist import Mnist
from bench.tasks.ucf101 import Ucf101
from impls.errors import nearest

TASKS: dict[str, type[Task]] = {task.name: task for task in (Adding, Frequency, Mnist, Charades, Imdb, Ucf101, Digits)}

DEFAULT_DATA = Path("data")


ENTRY_POINTS = "skiprnn_bench.tasks"
# A task's name becomes part of file names.
NAME = re.compile(r"\w[\w.-]*")


def task_classes() -> dict[str, type[Task]]:
    """Every task by name: the project's, then those of installed packages. Raises `SweepError` for a broken one."""
    return TASKS | {name: _load(name) for name in _entries()}


def task_class(name: str) -> type[Task]:
    """The task of this name. Raises `SweepError` with the nearest right one, or where its package is broken."""
    if name in TASKS:
        return TASKS[name]
    known = [*TASKS, *_entries()]
    if name not in known:
        raise SweepError(f"unknown task {name!r}{nearest(name, known)} (tasks: {', '.join(known)})")
    return _load(name)


@cache
def _entries() -> dict[str, EntryPoint]:
    """The entry points of installed packages by name. Raises `SweepError` for a name that is taken."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value)):
        taken = TASKS[entry.name].__module__ if entry.name in TASKS else None
        if not NAME.fullmatch(entry.name):
            raise SweepError(
                f"entry point {entry.name!r} = {entry.value}: a task's name has letters, digits, _ . and - alone; "
                f"rename it"
            )
        if entry.name in found and found[entry.name].value != entry.value:
            taken = found[entry.name].value
        if taken is not None:
            raise SweepError(
                f"entry point {entry.name} = {entry.value}: the task's name is taken by {taken}; rename it"
            )
        found[entry.name] = entry
    return found


@cache
def _load(name: str) -> type[Task]:
    entry = _entries()[name]
    where = f"entry point {name} = {entry.value}"
    try:
        loaded = entry.load()
    except Exception as error:  # whatever a foreign module raises on import
        raise SweepError(f"{where}: cannot be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Task)):
        raise SweepError(f"{where}: is not a class derived from bench.tasks.base.Task")
    if loaded.name != name:
        raise SweepError(f"{where}: the task calls itself {loaded.name!r}; give both the same name")
    if problem := class_problem(loaded):
        raise SweepError(f"{where}: {problem}")
    return loaded


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
