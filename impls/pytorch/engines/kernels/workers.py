"""The threads that the compiled kernels run on: PyTorch's own, where they can be had.

After an operation of PyTorch its OpenMP threads keep their cores busy for some milliseconds, waiting for the next one.
Threads of our own would share the cores with them; OpenMP's start at once.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

_TASK = ctypes.CFUNCTYPE(None)  # it is given a pointer, which no task reads
_PROCESS = os.getpid()


def begin_process() -> None:
    """Says that OpenMP has started no threads before this process, though it was forked from another."""
    global _PROCESS
    _PROCESS = os.getpid()


@functools.cache
def _openmp(process: int) -> Callable[..., Any] | None:
    """`GOMP_parallel` of the OpenMP that PyTorch is linked with; None where it is another, or none.

    The process is asked for since a forked child has the library, but none of its threads.
    """
    if process != _PROCESS:
        return None
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        start = library.GOMP_parallel
    except (OSError, AttributeError):
        return None
    start.argtypes = [_TASK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    start.restype = None
    return start


def in_parallel(work: Callable[[], None], *, most: int) -> None:
    """Does `work()` once on every thread that PyTorch uses, `most` at most; raises what one of them raised.

    `work` is to spend its time without Python's lock, and to share what there is to do: OpenMP may give fewer threads.
    """
    workers = min(torch.get_num_threads(), most)
    failures: list[BaseException] = []

    def serve() -> Iterator[None]:
        try:
            yield
            work()
        except GeneratorExit:  # OpenMP gave fewer threads
            return
        except BaseException as failure:
            failures.append(failure)
        yield

    served = [serve() for _ in range(workers)]
    for one in served:
        next(one)
    # A signal that comes while OpenMP starts is answered where Python goes on: at the first line of a function, before
    # any `try`, and ctypes would drop what the answer raises, such as a Ctrl-C. A generator goes on inside of its own.
    serve_next = map(next, iter(served)).__next__
    openmp = _openmp(os.getpid()) if workers > 1 else None
    if openmp is not None:
        openmp(_TASK(serve_next), None, workers, 0)
    else:
        threads = [threading.Thread(target=serve_next) for _ in range(1, workers)]
        for thread in threads:
            thread.start()
        serve_next()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
