"""Back through time: one program takes a tile of sequences through all of its rounds, from the last to the first."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.kinds import LSTM, ROUND
from impls.pytorch.engines.tiles.skip_gate import gate_before
from impls.pytorch.engines.tiles.updates import back_layer


@triton.jit
def pass_run(
    of_probability, of_stored, along_p, along_m, run_constants, run_scalars, record, live, BLOCKS: tl.constexpr
):
    """The gradients of Δũ and ũ before a run of skips from those after it; see `runs.py`."""
    scalars = run_scalars + record * 6
    constant_p = along_p + tl.load(scalars + 4, mask=live, other=0.0)
    constant_m = along_m + tl.load(scalars + 5, mask=live, other=0.0)
    for block in range(0, BLOCKS):
        sums = run_constants + (record * BLOCKS + block) * 2
        constant_p += tl.load(sums, mask=live, other=0.0)
        constant_m += tl.load(sums + 1, mask=live, other=0.0)
    pp, pm = tl.load(scalars, mask=live, other=0.0), tl.load(scalars + 1, mask=live, other=0.0)
    mp, mm = tl.load(scalars + 2, mask=live, other=0.0), tl.load(scalars + 3, mask=live, other=0.0)
    return pp * of_probability + pm * of_stored + constant_p, mp * of_probability + mm * of_stored + constant_m


@triton.jit(do_not_specialize=["batch", "steps"])
def backward_kernel(
    weights_turned, norms, gate_weights, state, gates, pre, proposed, cumulative, fired, before, last,
    first_probability, first_stored, flow, run_vectors, run_constants, run_scalars, run_flow, of_gates,
    changes, normed, work, logit_changes, of_probability, of_stored, of_state, of_first_probability, of_first_stored,
    batch, steps,
    KIND: tl.constexpr, ACTIVATION: tl.constexpr, NORM: tl.constexpr, DECISION: tl.constexpr,
    GATE_LAYER: tl.constexpr, UNITS: tl.constexpr, WIDTH: tl.constexpr, BLOCKS: tl.constexpr,
    OF_H: tl.constexpr, OF_GATES: tl.constexpr,
    TILE: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_U: tl.constexpr,
    PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Takes a tile back to the initial state.

    Args:
        weights_turned, norms, gate_weights: see `packing.py`.
        state, gates, pre, proposed, cumulative, fired, before, last, first_probability, first_stored: see `buffers.py`.
        flow: `[2, batch, STATE]`, the first half the gradients of the final state; sequences change between them.
        run_vectors, run_constants, run_scalars, run_flow, BLOCKS, of_gates, OF_H, OF_GATES: as in `runs.runs_kernel`.
        changes: `[steps, batch, layers * gates * WIDTH]`, to be filled where there are updates: the gradients of
            pre-activations.
        normed: `[steps, batch, layers * early * WIDTH]`, the same after layer norm.
        work: `[batch, 3 * WIDTH]`.
        logit_changes: `[batch, steps]`, to be filled where there are updates: the gradient of the skip gate's logit.
        of_probability, of_stored: `[batch]`, the gradients of Δũ and ũ after the last step.
        of_state, of_first_probability, of_first_stored: to be filled: those of the initial state.
        Others as in `forward.forward_kernel`.
    """
    GATES: tl.constexpr = 4 if KIND == LSTM else 3
    EARLY: tl.constexpr = 4 if KIND == LSTM else 2
    LEAVES: tl.constexpr = 2 if KIND == LSTM else 1
    LAYERS: tl.constexpr = len(UNITS)
    STATE: tl.constexpr = LAYERS * LEAVES * WIDTH
    SKIPS: tl.constexpr = DECISION >= ROUND
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    here = rows < batch
    wide_rows = rows.to(tl.int64)
    slot = tl.load(last + rows, mask=here, other=0)
    gp = tl.load(of_probability + rows, mask=here, other=0.0)
    gm = tl.load(of_stored + rows, mask=here, other=0.0)
    p0 = tl.load(first_probability + rows, mask=here, other=0.0)
    m0 = tl.load(first_stored + rows, mask=here, other=0.0)
    side = rows * 0
    while tl.max(slot, axis=0) > 0:
        live = slot > 0
        time = slot - 1
        at = wide_rows * steps + time
        old = tl.load(before + at, mask=live, other=0).to(tl.int32)
        record = slot.to(tl.int64) * batch + wide_rows
        old_record = old.to(tl.int64) * batch + wide_rows
        flow_at = (side.to(tl.int64) * batch + wide_rows) * STATE
        of_old_at = ((1 - side).to(tl.int64) * batch + wide_rows) * STATE
        logit_change = tl.zeros(gp.shape, gp.dtype)
        if SKIPS:
            along_p, along_m, along = logit_change, logit_change, logit_change
            for start in range(0, STATE, BLOCK_U):
                columns = start + tl.arange(0, BLOCK_U)
                inside = live[:, None] & (columns < STATE)[None, :]
                g = tl.load(flow + flow_at[:, None] + columns[None, :], mask=inside, other=0.0)
                vectors = run_vectors + record[:, None] * (2 * STATE) + columns[None, :]
                along_p += tl.sum(g * tl.load(vectors, mask=inside, other=0.0), axis=1)
                along_m += tl.sum(g * tl.load(vectors + STATE, mask=inside, other=0.0), axis=1)
                if OF_H:
                    units = columns - (STATE - WIDTH)
                    top = inside & (units >= 0)[None, :]
                    g += tl.load(run_flow + record[:, None] * WIDTH + units[None, :], mask=top, other=0.0)
                new = tl.load(state + record[:, None] * STATE + columns[None, :], mask=inside, other=0.0)
                present = tl.load(state + old_record[:, None] * STATE + columns[None, :], mask=inside, other=0.0)
                along += tl.sum(g * (new - present), axis=1)
            run_p, run_m = pass_run(gp, gm, along_p, along_m, run_constants, run_scalars, record, live, BLOCKS)
            p, m = gate_before(proposed, cumulative, fired, p0, m0, rows, time, old, steps, live)
            found = tl.load(proposed + at, mask=live, other=0.0)
            change = along + run_p * (found - p) - run_m * tl.load(cumulative + at, mask=live, other=0.0)
            if OF_GATES:
                change += tl.load(of_gates + at, mask=live, other=0.0)
            change = tl.where(p > 1.0 - m, 0.0, change)
            logit_change = tl.where(live, run_p * found * (1.0 - found), 0.0)
            tl.store(logit_changes + at, logit_change, mask=live)
            gp, gm = tl.where(live, change, gp), tl.where(live, change, gm)
        step_record = record - batch
        for LAYER in tl.static_range(LAYERS - 1, -1, -1):
            back_layer(
                state, gates, pre, norms + LAYER * 2 * EARLY * WIDTH,
                weights_turned + LAYER * 2 * GATES * WIDTH * WIDTH, gate_weights,
                flow, run_flow, changes, normed, work, logit_change,
                old_record * STATE + LAYER * LEAVES * WIDTH,
                record * STATE + LAYER * LEAVES * WIDTH,
                step_record * (LAYERS * GATES * WIDTH) + LAYER * GATES * WIDTH,
                step_record * (LAYERS * EARLY * WIDTH) + LAYER * EARLY * WIDTH,
                step_record * (LAYERS * GATES * WIDTH) + LAYER * GATES * WIDTH,
                step_record * (LAYERS * EARLY * WIDTH) + LAYER * EARLY * WIDTH,
                flow_at + LAYER * LEAVES * WIDTH, of_old_at + LAYER * LEAVES * WIDTH, record * WIDTH,
                wide_rows * (3 * WIDTH), live,
                KIND, ACTIVATION, NORM, LAYER, LAYER == LAYERS - 1, SKIPS and LAYER == GATE_LAYER, OF_H,
                UNITS[LAYER], WIDTH,
                BLOCK_K, BLOCK_N, BLOCK_U, PRECISION, CACHE,
            )  # fmt: skip
        side = tl.where(live, 1 - side, side)
        slot = tl.where(live, old, slot)
    flow_at = (side.to(tl.int64) * batch + wide_rows) * STATE
    along_p, along_m = tl.zeros(gp.shape, gp.dtype), tl.zeros(gp.shape, gp.dtype)
    for start in range(0, STATE, BLOCK_U):
        columns = start + tl.arange(0, BLOCK_U)
        inside = here[:, None] & (columns < STATE)[None, :]
        g = tl.load(flow + flow_at[:, None] + columns[None, :], mask=inside, other=0.0)
        if SKIPS:
            vectors = run_vectors + wide_rows[:, None] * (2 * STATE) + columns[None, :]
            along_p += tl.sum(g * tl.load(vectors, mask=inside, other=0.0), axis=1)
            along_m += tl.sum(g * tl.load(vectors + STATE, mask=inside, other=0.0), axis=1)
        if OF_H:
            units = columns - (STATE - WIDTH)
            top = inside & (units >= 0)[None, :]
            g += tl.load(run_flow + wide_rows[:, None] * WIDTH + units[None, :], mask=top, other=0.0)
        tl.store(of_state + wide_rows[:, None] * STATE + columns[None, :], g, mask=inside)
    if SKIPS:
        gp, gm = pass_run(gp, gm, along_p, along_m, run_constants, run_scalars, wide_rows, here, BLOCKS)
        tl.store(of_first_probability + rows, gp, mask=here)
        tl.store(of_first_stored + rows, gm, mask=here)
