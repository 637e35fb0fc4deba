"""Ctrl-C and SIGTERM: while trials run the first asks them to end in order, the second ends at once."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


@contextmanager
def requests_as_interrupts() -> Iterator[None]:
    """Has SIGTERM raise `KeyboardInterrupt` meanwhile, so that what is half done is removed.

    It changes nothing where SIGTERM is answered in another way already, nor outside of the main thread.
    """
    of_main = threading.current_thread() is threading.main_thread()
    if not of_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Interrupts:
    """While it is open, the first of these signals is a request, which `check` answers where nothing is half done.

    The second kills the children, wherever the program is; should it wait for something that does not answer, such as
    a disk, it is interrupted there. The third is answered as if nothing was open.

    Args:
        kill: ends the children at once.

    Attributes:
        reader: has something to read once there is a request, so that it ends a wait.
        stopping: whether the children are being stopped: then the second signal interrupts nothing else.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._signals = 0
        self.stopping = False
        self.reader, self._writer = multiprocessing.Pipe(duplex=False)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._answer) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.close()
        self.reader.close()

    def check(self) -> None:
        """Raises `KeyboardInterrupt` where there is a request."""
        if self._signals:
            raise KeyboardInterrupt

    def _answer(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self._writer.send_bytes(b"1")
            return
        for other, handler in self._before.items():
            signal.signal(other, handler)
        self._kill()
        if not self.stopping:
            raise KeyboardInterrupt
