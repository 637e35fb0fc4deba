"""What trials need before they run: their data sets, prepared once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from bench.errors import DataError
from bench.launch.interrupts import requests_as_interrupts
from bench.machine.disk import READ_ONLY, disk_explained, wait_until_locked
from bench.plan.trial import Trial
from bench.tasks.declarations import SIZES, size, steps_per_epoch

# Held by whoever prepares: trials that a machine is given at the same time prepare one after the other.
LOCK = ".preparing"


def prepare_data(trials: Sequence[Trial], *, data: Path) -> None:
    """Has every data set that the trials read prepared, once.

    Asked to end (SIGTERM), it raises `KeyboardInterrupt`, and leaves nothing that is half prepared. Raises `DataError`
    with all that is missing, and `UserError` for a task whose sizes nothing can be trained with.
    """
    tasks = {(trial.task, str(trial.options)): trial.build_task(data=data) for trial in trials}
    problems = dict.fromkeys(problem for task in tasks.values() if (problem := task.data_problem()))
    if problems:
        raise DataError("\n".join(problems))
    with requests_as_interrupts():
        for task in tasks.values():
            task.prepare()
            for name in SIZES:
                size(task, name)
    for trial in trials:  # refuses a batch larger than the training data
        steps_per_epoch(tasks[trial.task, str(trial.options)], batch_size=trial.protocol.batch_size)


def prepare_beside_others(trial: Trial, *, data: Path) -> None:
    """As `prepare_data`, for one of many trials that are started at the same time: one prepares, the others wait."""
    if trial.build_task(data=data).prepares:
        with one_at_a_time(data):
            prepare_data([trial], data=data)
    else:
        prepare_data([trial], data=data)


@contextmanager
def one_at_a_time(data: Path) -> Iterator[None]:
    """Waits until no other process of this data folder is inside; who may not write there need not wait."""
    with _lock_file(data) as file:
        if file is not None:
            wait_until_locked(file.fileno())
        yield


def _lock_file(data: Path) -> AbstractContextManager[IO[str] | None]:
    with disk_explained(data / LOCK):
        try:
            data.mkdir(parents=True, exist_ok=True)
            return (data / LOCK).open("w")
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            return nullcontext()
