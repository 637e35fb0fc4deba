"""Memory that one training step leaves to the next.

The system clears the memory that it gives out, which costs a tenth of a step of 50 time steps. So the blocks of a tape
that is dropped serve the next one. Their pages are taken as they are written, so that a block may be larger than what
is asked for. Blocks wait only as long as all together are no larger than what was once needed at the same time.
"""

from __future__ import annotations

import math
import mmap
import threading
import weakref
from typing import Any

import numpy as np

from impls.contract import Array

_LEAST_BYTES = 1 << 16  # smaller arrays are NumPy's own


class _Blocks:
    """The blocks of a process: those that wait, the oldest first, and how many bytes are and were needed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # an array may be dropped while one is asked for
        self.waiting: list[mmap.mmap] = []
        self.bytes_of_blocks = 0
        self.needed = 0
        self.most_needed = 0

    def take(self, size: int) -> mmap.mmap:
        """A block of at least this many bytes: the smallest that waits and is large enough, or a new one."""
        with self.lock:
            self.needed += size
            self.most_needed = max(self.most_needed, self.needed)
            block = min((block for block in self.waiting if len(block) >= size), key=len, default=None)
            if block is not None:
                self.waiting.remove(block)
                return block
            self.bytes_of_blocks += size
            self._drop_surplus()  # before the new one is taken
            return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give_back(self, block: mmap.mmap, size: int) -> None:
        """Lets the block that was taken for so many bytes wait for the next array."""
        with self.lock:
            self.needed -= size
            self.waiting.append(block)
            self._drop_surplus()

    def release(self) -> None:
        """Gives all blocks that wait back to the system."""
        with self.lock:
            self.most_needed = self.needed
            self._drop_surplus()

    def _drop_surplus(self) -> None:
        while self.waiting and self.bytes_of_blocks > self.most_needed:
            self.bytes_of_blocks -= len(self.waiting.pop(0))


_blocks = _Blocks()


def reused_array(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array of undefined content; once it and its views are gone, its memory serves the next that fits."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < _LEAST_BYTES:
        return np.empty(shape, dtype)
    block = _blocks.take(size)
    # The views of an array whose memory is not NumPy's own keep the array itself.
    array: Array = np.ndarray(shape, dtype, buffer=block)
    weakref.finalize(array, _blocks.give_back, block, size).atexit = False
    return array


def release_tape_memory() -> None:
    """Gives the memory that waits for the next training step back to the system, as `torch.cuda.empty_cache` does."""
    _blocks.release()
