"""What an LSTM layer does between its products: the candidate state, and its adjoint."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.activations import activate, sigmoid, slope


@triton.jit
def complete_lstm(
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
    """Writes `c̃ = c f + i j`, `h̃ = φ(c̃) o`; returns `c̃ W` of the skip gate where the layer is `FED` to it.

    The forget bias stands in the packed biases. Other arguments as in `candidates.stack_candidate`, of one layer.
    """
    logit = tl.zeros(live.shape, tl.float64)
    for start in range(0, WIDTH, BLOCK_U):
        units = start + tl.arange(0, BLOCK_U)
        inside = live[:, None] & (units < WIDTH)[None, :]
        # In the padding stands NaN where an input or state is infinite, which zeros there multiply.
        real = inside & (units < UNITS)[None, :]
        parts = work + work_at[:, None] + units[None, :]
        i = sigmoid(tl.load(parts, mask=real, other=0.0))
        j = activate(tl.load(parts + WIDTH, mask=real, other=0.0), ACTIVATION)
        f = sigmoid(tl.load(parts + 2 * WIDTH, mask=real, other=0.0))
        o = sigmoid(tl.load(parts + 3 * WIDTH, mask=real, other=0.0))
        old = tl.load(state + old_at[:, None] + units[None, :], mask=inside, other=0.0)
        c = old * f + i * j + spoil[:, None]
        c = tl.where((units < UNITS)[None, :], c, 0.0)
        h = tl.where((units < UNITS)[None, :], activate(c, ACTIVATION) * o, 0.0)
        tl.store(state + new_at[:, None] + units[None, :], c, mask=inside)
        tl.store(state + new_at[:, None] + WIDTH + units[None, :], h, mask=inside)
        if WRITE_GATES:
            kept = gates + gates_at[:, None] + units[None, :]
            tl.store(kept, i, mask=inside)
            tl.store(kept + WIDTH, j, mask=inside)
            tl.store(kept + 2 * WIDTH, f, mask=inside)
            tl.store(kept + 3 * WIDTH, o, mask=inside)
        if FED:
            weights = tl.load(gate_weights + units, mask=units < WIDTH, other=0.0).to(tl.float64)
            logit += tl.sum(c.to(tl.float64) * weights[None, :], axis=1)
    return logit


@triton.jit
def back_lstm(
    flow_c, flow_h, state, gates, changes, of_old, old_at, new_at, gates_at, changes_at, of_old_at, units, inside,
    WIDTH: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """From the gradient of the candidate state, `[rows, units]`, to those of the pre-activations and of the old c.

    h reaches the pre-activations through the matrix alone.
    """
    kept = gates + gates_at[:, None] + units[None, :]
    i = tl.load(kept, mask=inside, other=0.0)
    j = tl.load(kept + WIDTH, mask=inside, other=0.0)
    f = tl.load(kept + 2 * WIDTH, mask=inside, other=0.0)
    o = tl.load(kept + 3 * WIDTH, mask=inside, other=0.0)
    old = tl.load(state + old_at[:, None] + units[None, :], mask=inside, other=0.0)
    active = activate(tl.load(state + new_at[:, None] + units[None, :], mask=inside, other=0.0), ACTIVATION)
    flow_c += flow_h * o * slope(active, ACTIVATION)
    target = changes + changes_at[:, None] + units[None, :]
    tl.store(target, flow_c * j * i * (1.0 - i), mask=inside)
    tl.store(target + WIDTH, flow_c * i * slope(j, ACTIVATION), mask=inside)
    tl.store(target + 2 * WIDTH, flow_c * old * f * (1.0 - f), mask=inside)
    tl.store(target + 3 * WIDTH, flow_h * active * o * (1.0 - o), mask=inside)
    tl.store(of_old + of_old_at[:, None] + units[None, :], flow_c * f, mask=inside)
