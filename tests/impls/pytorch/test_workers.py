"""The compiled kernels' threads: PyTorch's own where it has them, and always every piece of work once."""

from __future__ import annotations

import multiprocessing
import sys
import threading

import pytest

torch = pytest.importorskip("torch")

from impls.pytorch.engine import workers  # noqa: E402


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def run(count: int) -> list[int]:
    done: list[int] = []
    workers.in_parallel(done.append, count)
    return sorted(done)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("openmp", [True, False], ids=["PyTorch's threads", "own threads"])
def test_every_piece_is_done_once(monkeypatch, two_threads, openmp: bool, count: int) -> None:
    if not openmp:
        monkeypatch.setattr(workers, "_openmp", lambda process: None)
    assert run(count) == list(range(count))


@pytest.mark.parametrize("openmp", [True, False], ids=["PyTorch's threads", "own threads"])
def test_two_pieces_are_done_at_once(monkeypatch, two_threads, openmp: bool) -> None:
    if not openmp:
        monkeypatch.setattr(workers, "_openmp", lambda process: None)
    both = threading.Barrier(2)
    workers.in_parallel(lambda _: both.wait(timeout=60), 2)


@pytest.mark.parametrize("openmp", [True, False], ids=["PyTorch's threads", "own threads"])
def test_a_failure_is_raised_by_the_caller(monkeypatch, two_threads, openmp: bool) -> None:
    if not openmp:
        monkeypatch.setattr(workers, "_openmp", lambda process: None)

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
