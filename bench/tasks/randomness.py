"""Counter-based random numbers: any draw of any stream can be had again without replaying what came before."""

from __future__ import annotations

import zlib

import numpy as np

from impls.contract import Array


def generator(*, seed: int, stream: str, step: int) -> np.random.Generator:
    """A generator that is a pure function of its arguments.

    Philox is keyed by the seed and the stream's name; the step is the highest word of its counter, so that no
    two steps share numbers.
    """
    return np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(stream.encode())], counter=[0, 0, 0, step]))


def permutation(size: int, *, seed: int, stream: str, epoch: int) -> Array:
    """The order in which an epoch visits `size` examples."""
    return generator(seed=seed, stream=stream, step=epoch).permutation(size)
