"""The published count of floating-point work, and how it follows the updates.

The paper's *inference FLOPs* are the multiply–accumulates of the recurrent layers' matrix products alone (no biases,
no element-wise work, no gate, no readout), times the mean number of updates; for video, the frame encoder's are added
for each used frame.
"""

from __future__ import annotations

from impls.kinds import KINDS, SKIP_PREFIX


def published_macs_per_update(cell: str, *, input_size: int, units: tuple[int, ...]) -> int:
    """`Σ g · units · (inputs + units)` over layers; g is the number of gates: 4 for an LSTM, 3 for a GRU."""
    gates = len(KINDS[cell.removeprefix(SKIP_PREFIX)].gates)
    sizes = (input_size, *units[:-1])
    return sum(gates * width * (below + width) for below, width in zip(sizes, units, strict=True))


def published_flops(
    cell: str, *, input_size: int, units: tuple[int, ...], updates: float, encoder_macs_per_step: float = 0.0
) -> float:
    """The paper's inference FLOPs of one sequence with this many updates."""
    per_update = published_macs_per_update(cell, input_size=input_size, units=units)
    return updates * (per_update + encoder_macs_per_step)
