"""The compiled kernels' threads: PyTorch's own where it has them, each of which does the work once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from impls.pytorch.engines.kernels import workers  # noqa: E402


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["PyTorch's threads", "own threads"])
def either_kind(request, monkeypatch) -> None:
    if request.param == "own threads":
        monkeypatch.setattr(workers, "_openmp", lambda process: None)


def run(most: int) -> int:
    """How many threads did the work."""
    done: list[int] = []
    workers.in_parallel(lambda: done.append(threading.get_ident()), most=most)
    return len(done)


@pytest.mark.skipif(
    sys.platform != "linux" or "OpenMP" not in torch.__config__.parallel_info(), reason="this PyTorch has no OpenMP"
)
def test_pytorchs_threads_are_found() -> None:
    assert workers._openmp(os.getpid()) is not None


@pytest.mark.parametrize(("most", "threads"), [(1, 1), (2, 2), (7, 2)])
def test_every_thread_does_it_once(two_threads, either_kind, most: int, threads: int) -> None:
    assert run(most) == threads


def test_two_threads_work_at_once(two_threads, either_kind) -> None:
    both = threading.Barrier(2)
    workers.in_parallel(lambda: both.wait(timeout=60), most=2)


def test_a_failure_is_raised_by_the_caller(two_threads, either_kind) -> None:
    def fail() -> None:
        raise ArithmeticError("a piece of work")

    with pytest.raises(ArithmeticError, match="piece"):
        workers.in_parallel(fail, most=2)


class Interrupted(BaseException):
    """What a signal is answered with, as Ctrl-C is with KeyboardInterrupt."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_no_signal_is_lost_where_the_threads_start(two_threads, monkeypatch) -> None:
    """Some hundreds at any moment: one that was dropped by ctypes would be told to the hook, not to the caller.

    Garbage is not collected meanwhile: Python itself drops what is raised in a collection's callbacks, and Hypothesis
    has one.
    """
    answered = heard = 0
    inside = False
    dropped: list[object] = []

    def answer(number: int, frame: object) -> None:
        nonlocal answered, inside
        if inside:
            inside = False
            answered += 1
            raise Interrupted

    monkeypatch.setattr(sys, "unraisablehook", lambda told: dropped.append(told.exc_value))
    before = signal.signal(signal.SIGALRM, answer)
    gc.disable()
    signal.setitimer(signal.ITIMER_REAL, 5e-4, 5e-4)
    try:
        end = time.monotonic() + 60.0  # a machine that is busy answers few a second
        while answered <= 100 and time.monotonic() < end:
            try:
                inside = True
                workers.in_parallel(lambda: None, most=2)
                inside = False
            except Interrupted:
                heard += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert answered > 100
    assert (heard, dropped) == (answered, [])


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(two_threads) -> None:
    """It inherits OpenMP's memory of threads, but not the threads: to ask for them would wait for ever."""
    torch.ones(1000, 1000).sum()
    assert run(2) == 2
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(run, (3,)).get(timeout=60) == 2


FORKS = """
import multiprocessing, os, torch
from impls.contract import import_learner
from impls.pytorch.engines.kernels import workers

def threads_of_openmp(_):
    torch.set_num_threads(2)
    done = []
    workers.in_parallel(lambda: done.append(1), most=2)
    return len(done), workers._openmp(os.getpid()) is not None

import_learner("pytorch")
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(*pool.apply_async(threads_of_openmp, (0,)).get(timeout=60))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or "OpenMP" not in torch.__config__.parallel_info(), reason="this PyTorch has no OpenMP"
)
def test_a_process_forked_before_anything_was_computed_has_pytorchs_threads() -> None:
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", FORKS], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2", "True"], done.stderr
