"""The compiled kernels' threads: PyTorch's own where it has them, and always every piece of work once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

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


def run(count: int) -> list[int]:
    done: list[int] = []
    workers.in_parallel(done.append, count)
    return sorted(done)


@pytest.mark.skipif(
    sys.platform != "linux" or "OpenMP" not in torch.__config__.parallel_info(), reason="this PyTorch has no OpenMP"
)
def test_pytorchs_threads_are_found() -> None:
    assert workers._openmp(os.getpid()) is not None


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_piece_is_done_once(two_threads, either_kind, count: int) -> None:
    assert run(count) == list(range(count))


def test_two_pieces_are_done_at_once(two_threads, either_kind) -> None:
    both = threading.Barrier(2)
    workers.in_parallel(lambda _: both.wait(timeout=60), 2)


def test_a_failure_is_raised_by_the_caller(two_threads, either_kind) -> None:
    def fail(number: int) -> None:
        raise ArithmeticError(f"piece {number}")

    with pytest.raises(ArithmeticError, match="piece"):
        workers.in_parallel(fail, 2)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(two_threads) -> None:
    """It inherits OpenMP's memory of threads, but not the threads: to ask for them would wait for ever."""
    torch.ones(1000, 1000).sum()
    assert run(2) == [0, 1]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(run, (3,)).get(timeout=60) == [0, 1, 2]
