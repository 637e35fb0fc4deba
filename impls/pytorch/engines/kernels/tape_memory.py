"""Memory that one training step leaves to the next.

The system takes large blocks back and clears them anew at every step, which costs a tenth of the step. One block is
kept: that of the tape that was dropped last.
"""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any

import numpy as np

from impls.contract import Array

_LINE = 64  # bytes of a cache line, where arrays start

_spare: list[bytearray] = []
_lock = threading.RLock()  # an array may be dropped while one is asked for


def reused_array(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array of undefined content; once it and its views are gone, its memory serves the next that fits."""
    size = math.prod(shape) * np.dtype(dtype).itemsize + _LINE
    with _lock:
        block = _spare.pop() if _spare else bytearray()
    if len(block) < size:
        del block  # before the larger one is taken
        block = bytearray(size)
    start = -np.frombuffer(block, np.uint8).ctypes.data % _LINE
    # The views of an array whose memory is not NumPy's own keep the array itself.
    array: Array = np.ndarray(shape, dtype, buffer=block, offset=start)
    weakref.finalize(array, _keep, block).atexit = False
    return array


def _keep(block: bytearray) -> None:
    with _lock:
        _spare[:] = [block]
