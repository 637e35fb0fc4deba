"""Batches made ahead of time, off the main thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator

from impls.contract import Batch

# Two batches ahead hide the making of one; more would only hold memory.
AHEAD = 2


def prefetch(make: Callable[[int], Batch], *, first: int, end: int) -> Generator[tuple[Batch, float], None, None]:
    """Yields `make(step)` for steps `first` to `end − 1` in order, with the seconds that each took to make.

    An error in `make` is raised where the batch is asked for. Closing the iterator stops the thread.
    """
    ready: queue.Queue[tuple[Batch, float] | BaseException] = queue.Queue(maxsize=AHEAD)
    stopped = threading.Event()

    def put(item: tuple[Batch, float] | BaseException) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(first, end):
                if stopped.is_set():
                    return
                start = time.perf_counter()
                batch = make(step)
                put((batch, time.perf_counter() - start))
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        for _ in range(first, end):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
