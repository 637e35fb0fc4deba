"""What an update does to the gradient: from that of the candidate state of one layer to that of the old state."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.gru import back_candidate, back_gates
from impls.pytorch.engines.tiles.kinds import LSTM
from impls.pytorch.engines.tiles.layer_norm import normalise_back
from impls.pytorch.engines.tiles.lstm import back_lstm
from impls.pytorch.engines.tiles.products import product


@triton.jit
def flow_of_h(
    flow, run_flow, work, gate_weights, logit_change, flow_at, run_at, work_at, units, inside,
    TOP: tl.constexpr, FED: tl.constexpr, OF_H: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The gradient of a layer's candidate h `[rows, units]`: the state's, the outputs', and the layer's above.

    FED: whether the skip gate reads it, which a GRU's may be.
    """
    total = tl.load(flow + flow_at[:, None] + units[None, :], mask=inside, other=0.0)
    if TOP:
        if OF_H:
            total += tl.load(run_flow + run_at[:, None] + units[None, :], mask=inside, other=0.0)
    else:
        total += tl.load(work + work_at[:, None] + units[None, :], mask=inside, other=0.0)
    if FED:
        weights = tl.load(gate_weights + units, mask=units < WIDTH, other=0.0)
        total += logit_change[:, None] * weights[None, :]
    return total


@triton.jit
def back_layer(
    state, gates, pre, norms, turned, gate_weights, flow, run_flow, changes, normed, work, logit_change,
    old_at, new_at, gates_at, pre_at, changes_at, normed_at, flow_at, of_old_at, run_at, work_at, live,
    KIND: tl.constexpr, ACTIVATION: tl.constexpr, NORM: tl.constexpr, LAYER: tl.constexpr, TOP: tl.constexpr,
    FED: tl.constexpr, OF_H: tl.constexpr, UNITS: tl.constexpr, WIDTH: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_U: tl.constexpr, PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of one layer's pre-activations, of its old state, and of what it reads if that is a layer.

    Arguments as in `backward.backward_kernel`, of one layer; `work` has room for the gradients of what the layer above
    reads, of `r h`, and of h beside the first matrix.
    """
    GATES: tl.constexpr = 4 if KIND == LSTM else 3
    EARLY: tl.constexpr = 4 if KIND == LSTM else 2
    LEAVES: tl.constexpr = 2 if KIND == LSTM else 1
    early = normed if NORM else changes
    early_at = normed_at if NORM else changes_at
    for start in range(0, WIDTH, BLOCK_U):
        units = start + tl.arange(0, BLOCK_U)
        inside = live[:, None] & (units < WIDTH)[None, :]
        flow_h = flow_of_h(
            flow, run_flow, work, gate_weights, logit_change, flow_at + (LEAVES - 1) * WIDTH, run_at, work_at,
            units, inside, TOP, FED and KIND != LSTM, OF_H, WIDTH,
        )  # fmt: skip
        if KIND == LSTM:
            flow_c = tl.load(flow + flow_at[:, None] + units[None, :], mask=inside, other=0.0)
            if FED:
                weights = tl.load(gate_weights + units, mask=units < WIDTH, other=0.0)
                flow_c += logit_change[:, None] * weights[None, :]
            back_lstm(
                flow_c, flow_h, state, gates, early, flow, old_at, new_at, gates_at, early_at, of_old_at,
                units, inside, WIDTH, ACTIVATION,
            )  # fmt: skip
        else:
            back_candidate(flow_h, gates, changes, gates_at, changes_at, units, inside, WIDTH, ACTIVATION)
    tl.debug_barrier()
    if KIND != LSTM:
        for start in range(0, WIDTH, BLOCK_N):
            columns = start + tl.arange(0, BLOCK_N)
            total = tl.zeros((live.shape[0], BLOCK_N), state.dtype.element_ty)
            total = product(
                total, changes, changes_at + 2 * WIDTH, live, WIDTH, turned + 2 * WIDTH * WIDTH, WIDTH, columns, WIDTH,
                BLOCK_K, PRECISION, CACHE,
            )  # fmt: skip
            inside = live[:, None] & (columns < WIDTH)[None, :]
            tl.store(work + work_at[:, None] + WIDTH + columns[None, :], total, mask=inside)
        tl.debug_barrier()
        for start in range(0, WIDTH, BLOCK_U):
            units = start + tl.arange(0, BLOCK_U)
            inside = live[:, None] & (units < WIDTH)[None, :]
            flow_h = flow_of_h(
                flow, run_flow, work, gate_weights, logit_change, flow_at, run_at, work_at, units, inside,
                TOP, FED, OF_H, WIDTH,
            )  # fmt: skip
            flow_reset = tl.load(work + work_at[:, None] + WIDTH + units[None, :], mask=inside, other=0.0)
            back_gates(
                flow_h, flow_reset, state, gates, early, work, old_at, gates_at, early_at, work_at + 2 * WIDTH,
                units, inside, WIDTH,
            )  # fmt: skip
        tl.debug_barrier()
    if NORM:
        for GATE in tl.static_range(EARLY):
            normalise_back(
                pre, pre_at + GATE * WIDTH, normed, normed_at + GATE * WIDTH, changes, changes_at + GATE * WIDTH,
                live, norms + GATE * WIDTH, UNITS, WIDTH, BLOCK_U,
            )  # fmt: skip
        tl.debug_barrier()
    for start in range(0, WIDTH, BLOCK_N):
        columns = start + tl.arange(0, BLOCK_N)
        inside = live[:, None] & (columns < WIDTH)[None, :]
        if KIND == LSTM:
            total = tl.zeros((live.shape[0], BLOCK_N), state.dtype.element_ty)
        else:
            total = tl.load(work + work_at[:, None] + 2 * WIDTH + columns[None, :], mask=inside, other=0.0)
        total = product(
            total, changes, changes_at, live, EARLY * WIDTH, turned, WIDTH, columns, WIDTH, BLOCK_K, PRECISION, CACHE
        )
        tl.store(flow + (of_old_at + (LEAVES - 1) * WIDTH)[:, None] + columns[None, :], total, mask=inside)
        if LAYER > 0:
            below = tl.zeros((live.shape[0], BLOCK_N), state.dtype.element_ty)
            below = product(
                below, changes, changes_at, live, GATES * WIDTH, turned + GATES * WIDTH * WIDTH, WIDTH, columns, WIDTH,
                BLOCK_K, PRECISION, CACHE,
            )  # fmt: skip
            tl.store(work + work_at[:, None] + columns[None, :], below, mask=inside)
    tl.debug_barrier()
