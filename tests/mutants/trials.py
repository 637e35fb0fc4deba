"""Trying mutants, each in a copy of the project and against the tests of its room."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from multiprocessing.queues import Queue

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult

from tests.mutants.rooms import Room, room_of
from tests.mutants.trees import refresh

# The first failure decides; examples are always the same ones, so that a survivor survives again.
PYTEST = ("-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--hypothesis-seed=0")
LONGEST_SECONDS = 600.0  # of a room's tests on code that nobody broke: the first run compiles

_limits: dict[Room, float] = {}


class RedTestsError(Exception):
    """Tests that fail without a mutant: nothing can be said by them."""


def try_mutants(items: list[WorkItem], *, workers: int) -> Iterator[tuple[WorkItem, WorkResult]]:
    """Each mutant with what became of it, as they end, `workers` at a time.

    Raises:
        RedTestsError: a room's tests fail on the code as it is.
    """
    context = get_context("spawn")
    trees: Queue[str] = context.Queue()
    for number in range(workers):
        trees.put(str(refresh(number)))
    with ProcessPoolExecutor(workers, context, _enter, (trees,)) as pool:
        tried = {pool.submit(_try, item): item for item in items}
        try:
            for done in as_completed(tried):
                yield tried[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _enter(trees: Queue[str]) -> None:
    os.nice(10)
    os.chdir(trees.get())


def _try(item: WorkItem) -> WorkResult:
    [mutation] = item.mutations
    room = room_of(mutation.module_path.as_posix())
    command = shlex.join([sys.executable, "-m", "pytest", *PYTEST, *room.tests])
    if room not in _limits:
        start = time.perf_counter()
        outcome, output = run_tests(command, LONGEST_SECONDS)
        if outcome != TestOutcome.SURVIVED:
            raise RedTestsError(f"the tests of {room.name} fail without a mutant: {command}\n{output[-2000:]}")
        _limits[room] = 20.0 + 4.0 * (time.perf_counter() - start)  # an endless loop is a mutant that was noticed
    return mutate_and_test([mutation], command, _limits[room])
