"""What kernels do with one row of numbers."""

from __future__ import annotations

from impls.pytorch.engine.compiled import FUSED, SUMMED, compiled


@compiled(FUSED)
def copy(source, target):
    """Puts a row of as many numbers as the target has into it."""
    for index in range(target.size):
        target[index] = source[index]


@compiled(FUSED)
def add(source, target):
    """Adds a row."""
    for index in range(source.size):
        target[index] += source[index]


@compiled(FUSED)
def add_scaled(factor, source, target):
    """Adds a multiple of a row."""
    for index in range(source.size):
        target[index] += factor * source[index]


@compiled(SUMMED)
def along(flow, new, old):
    """`⟨flow, new − old⟩`."""
    total = flow.dtype.type(0)
    for index in range(flow.size):
        total += flow[index] * (new[index] - old[index])
    return total
