"""The numbers by which kernels know kinds of cell, activations and decisions; compiled into each kernel."""

from __future__ import annotations

import triton.language as tl

from impls.contract import ACTIVATIONS, CellSpec

KINDS = {"lstm": 0, "gru": 1}
DECISIONS = (
    "always",
    "scheduled",
    "round",
    "bernoulli",
)  # what decides an update; scheduled: a random or periodic skip

LSTM = tl.constexpr(KINDS["lstm"])
ALWAYS, SCHEDULED, ROUND = (tl.constexpr(DECISIONS.index(name)) for name in DECISIONS[:3])
RELU, SIGMOID, IDENTITY = (tl.constexpr(ACTIVATIONS.index(name)) for name in ("relu", "sigmoid", "identity"))


def decision_of(spec: CellSpec, *, drawn: bool) -> int:
    """What decides an update of this cell; `drawn` says whether the caller gives draws."""
    if spec.skips:
        return DECISIONS.index(spec.gate)
    return DECISIONS.index("scheduled" if drawn else "always")
