"""Weight gradients: updates of several rounds are gathered, then multiplied at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from impls.contract import Array
from impls.pytorch.engines.kernels.candidates import BLOCK_ROWS
from impls.pytorch.engines.kernels.compiled import compiled
from impls.pytorch.engines.kernels.layout import (
    CHANGE_AT,
    GRADIENT_AT,
    INPUT_WIDTH,
    OLD_AT,
    READ_AT,
    READ_WIDTH,
    RESET_AT,
    WIDTH,
)
from impls.pytorch.engines.kernels.products import multiply, pack

CHUNK_ROWS = 128  # updates that are gathered before one product


class Chunk(NamedTuple):
    """Updates whose weight gradients are gathered, `[updates, …]`, and room to work in."""

    old: Array  # states before
    read: Array  # what layers read
    reset: Array
    changes: Array  # gradients of the pre-activations
    packed: Array  # flat
    moving: Array  # [a block of updates, state]: gradients of the state on their way through an update
    work: Array  # [a block of updates, the widest layer or input]
    scalar: Array  # [1]


@compiled()
def room_for_chunk(layout, dtype):
    """Room for as many updates as are gathered."""
    widest = across = np.int64(0)
    for layer in layout.layers:
        widest = max(widest, layer[WIDTH], layer[INPUT_WIDTH])
        across = max(across, layer[WIDTH] + layer[READ_WIDTH])
    return Chunk(
        np.empty((CHUNK_ROWS, layout.state), dtype),
        np.zeros((CHUNK_ROWS, layout.read), dtype),
        np.empty((CHUNK_ROWS, layout.reset), dtype),
        np.empty((CHUNK_ROWS, layout.changes), dtype),
        np.empty(CHUNK_ROWS * across, dtype),
        np.empty((BLOCK_ROWS, layout.state), dtype),
        np.empty((BLOCK_ROWS, widest), dtype),
        np.empty(1, dtype),
    )


@compiled()
def add_weight_gradients(layout, chunk, rows, gradient):
    """Adds the weight gradients of the first `rows` gathered updates to the flat `gradient`."""
    packed, changes = chunk.packed, chunk.changes
    for layer in layout.layers:
        width, read_width, change_at = layer[WIDTH], layer[READ_WIDTH], layer[CHANGE_AT]
        early, late, across = layout.early * width, (layout.gates - layout.early) * width, width + read_width
        h_at = layer[OLD_AT] + (layout.leaves - 1) * width
        first, second = layer[GRADIENT_AT], layer[GRADIENT_AT] + early * across
        # What the gates read is narrower than their changes, so that it is the one to pack.
        pack(chunk.read, 0, layer[READ_AT], rows, read_width, packed, width * rows)
        pack(chunk.old, 0, h_at, rows, width, packed, 0)
        result = gradient[first:second].reshape((early, across))
        multiply(changes, 0, change_at, True, early, rows, packed, 0, across, result, 0, 0, True)
        if late > 0:
            pack(chunk.reset, 0, layer[RESET_AT], rows, width, packed, 0)
            result = gradient[second : second + late * across].reshape((late, across))
            multiply(changes, 0, change_at + early, True, late, rows, packed, 0, across, result, 0, 0, True)
