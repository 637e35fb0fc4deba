"""What trials need before they run: their data sets, prepared once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.errors import DataError
from bench.machine.disk import disk_explained, wait_until_locked
from bench.plan.trial import Trial

# Held by whoever prepares: trials that a machine is given at the same time prepare one after the other.
LOCK = ".preparing"


def prepare_data(trials: Sequence[Trial], *, data: Path) -> None:
    """Has every data set that the trials read prepared, once. Raises `DataError` with all that is missing."""
    tasks = {(trial.task, str(trial.options)): trial.build_task(data=data) for trial in trials}
    problems = dict.fromkeys(problem for task in tasks.values() if (problem := task.data_problem()))
    if problems:
        raise DataError("\n".join(problems))
    for task in tasks.values():
        task.prepare()
    for trial in trials:  # refuses a batch larger than the training data
        tasks[trial.task, str(trial.options)].steps_per_epoch(trial.protocol.batch_size)


@contextmanager
def one_at_a_time(data: Path) -> Iterator[None]:
    """Waits until no other process of this data folder is inside."""
    path = data / LOCK
    with disk_explained(path):
        data.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        wait_until_locked(file.fileno())
        yield
