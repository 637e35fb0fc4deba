"""The queue of slabs that the workers of one run share: each takes the next one that nobody has."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from impls.contract import Array

# Sequences of one slab. Cut by the batch alone, never by the number of threads: sums then have one order, and a run
# gives the same bits on any number of them.
SLAB_ROWS = 32


class Queue(NamedTuple):
    """Slabs of `rows` sequences of a batch; `taken` `[1]`, int64, counts those that workers have taken."""

    rows: int
    batch: int
    taken: Array


def queue_of(batch: int) -> Queue:
    """The slabs of a batch, all of them waiting."""
    return Queue(SLAB_ROWS, batch, np.zeros(1, np.int64))


def slab_count(batch: int) -> int:
    """How many slabs a batch is cut into."""
    return -(-batch // SLAB_ROWS)


@intrinsic
def take(typingctx: Any, taken: Any) -> Any:
    """The number of the next slab, counting it as taken."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(taken)(context, builder, arguments[0])
        return builder.atomic_rmw("add", array.data, context.get_constant(types.int64, 1), "monotonic")

    return types.int64(taken), generate
