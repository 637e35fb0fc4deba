"""What every engine returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from impls.states import FlatState


class Unrolled(NamedTuple):
    """An unrolled cell: h `[batch, time or 1, units]` of the top layer, gates `[batch, time, 1]`, the final state."""

    h: Tensor
    gates: Tensor
    state: FlatState
