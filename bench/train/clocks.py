"""Time and memory of a trial."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from statistics import median

from impls.contract import Batch

# What is timed after training ends at either.
MOST_PASSES = 25
SECONDS = 1.0


@dataclass
class Stopwatch:
    """Adds up the seconds of the stretches it is held open for. What it times must wait for the device itself."""

    seconds: float = 0.0
    laps: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Times one stretch, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.laps.append(time.perf_counter() - start)
            self.seconds += self.laps[-1]


def median_milliseconds(work: Callable[[Batch], object], batches: Iterable[Batch]) -> float:
    """The median time that `work` takes for a batch: of `MOST_PASSES` batches, or as many as `SECONDS` hold."""
    watch = Stopwatch()
    for batch in islice(batches, MOST_PASSES):
        with watch.running():
            work(batch)
        if watch.seconds >= SECONDS:
            break
    return 1e3 * median(watch.laps)


def process_peak_memory_bytes() -> int:
    """The largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
