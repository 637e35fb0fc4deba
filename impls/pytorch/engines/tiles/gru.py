"""What a GRU layer does between its products: the candidate state, and its adjoint."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.activations import activate, sigmoid, slope


@triton.jit
def reset_gru(
    state, work, old_at, work_at, live, UNITS: tl.constexpr, WIDTH: tl.constexpr, BLOCK_U: tl.constexpr
):  # fmt: skip
    """Writes `r h` behind the pre-activations in the workspace."""
    for start in range(0, WIDTH, BLOCK_U):
        units = start + tl.arange(0, BLOCK_U)
        inside = live[:, None] & (units < WIDTH)[None, :]
        # In the padding stands NaN where an input or state is infinite, which zeros there multiply.
        real = inside & (units < UNITS)[None, :]
        r = sigmoid(tl.load(work + work_at[:, None] + units[None, :], mask=real, other=0.0))
        h = tl.load(state + old_at[:, None] + units[None, :], mask=inside, other=0.0)
        tl.store(work + work_at[:, None] + 3 * WIDTH + units[None, :], r * h, mask=inside)


@triton.jit
def complete_gru(
    gate_weights,
    state,
    gates,
    work,
    old_at,
    new_at,
    gates_at,
    work_at,
    live,
    spoil,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    ACTIVATION: tl.constexpr,
    FED: tl.constexpr,
    WRITE_GATES: tl.constexpr,
    BLOCK_U: tl.constexpr,
):
    """Writes `h̃ = z h + (1 − z) n`; returns `h̃ W` of the skip gate where the layer is `FED` to it.

    The pre-activation of n, its product with `r h` included, is the last part of the workspace. Other arguments as in
    `candidates.stack_candidate`, of one layer.
    """
    logit = tl.zeros(live.shape, tl.float64)
    for start in range(0, WIDTH, BLOCK_U):
        units = start + tl.arange(0, BLOCK_U)
        inside = live[:, None] & (units < WIDTH)[None, :]
        real = inside & (units < UNITS)[None, :]
        parts = work + work_at[:, None] + units[None, :]
        r = sigmoid(tl.load(parts, mask=real, other=0.0))
        z = sigmoid(tl.load(parts + WIDTH, mask=real, other=0.0))
        n = activate(tl.load(parts + 4 * WIDTH, mask=real, other=0.0), ACTIVATION)
        old = tl.load(state + old_at[:, None] + units[None, :], mask=inside, other=0.0)
        h = z * old + (1.0 - z) * n + spoil[:, None]
        h = tl.where((units < UNITS)[None, :], h, 0.0)
        tl.store(state + new_at[:, None] + units[None, :], h, mask=inside)
        if WRITE_GATES:
            kept = gates + gates_at[:, None] + units[None, :]
            tl.store(kept, r, mask=inside)
            tl.store(kept + WIDTH, z, mask=inside)
            tl.store(kept + 2 * WIDTH, n, mask=inside)
        if FED:
            weights = tl.load(gate_weights + units, mask=units < WIDTH, other=0.0).to(tl.float64)
            logit += tl.sum(h.to(tl.float64) * weights[None, :], axis=1)
    return logit


@triton.jit
def back_candidate(
    flow_h, gates, changes, gates_at, changes_at, units, inside, WIDTH: tl.constexpr, ACTIVATION: tl.constexpr
):
    """Writes the gradient of the pre-activation of n, from that of the candidate state, `[rows, units]`."""
    kept = gates + gates_at[:, None] + units[None, :]
    z = tl.load(kept + WIDTH, mask=inside, other=0.0)
    n = tl.load(kept + 2 * WIDTH, mask=inside, other=0.0)
    target = changes + changes_at[:, None] + units[None, :]
    tl.store(target + 2 * WIDTH, flow_h * (1.0 - z) * slope(n, ACTIVATION), mask=inside)


@triton.jit
def back_gates(
    flow_h, flow_reset, state, gates, changes, beside, old_at, gates_at, changes_at, beside_at, units, inside,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of the pre-activations of r and z, and that of the old h beside the first matrix.

    `flow_h` is the gradient of the candidate state and `flow_reset` that of `r h`, both `[rows, units]`.
    """
    kept = gates + gates_at[:, None] + units[None, :]
    r = tl.load(kept, mask=inside, other=0.0)
    z = tl.load(kept + WIDTH, mask=inside, other=0.0)
    n = tl.load(kept + 2 * WIDTH, mask=inside, other=0.0)
    old = tl.load(state + old_at[:, None] + units[None, :], mask=inside, other=0.0)
    target = changes + changes_at[:, None] + units[None, :]
    tl.store(target, flow_reset * old * r * (1.0 - r), mask=inside)
    tl.store(target + WIDTH, flow_h * (old - n) * z * (1.0 - z), mask=inside)
    tl.store(beside + beside_at[:, None] + units[None, :], flow_h * z + flow_reset * r, mask=inside)
