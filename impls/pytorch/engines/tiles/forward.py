"""The time loop: one program takes a tile of sequences through all of its rounds.

Round k holds the k-th update of every sequence of the tile that has one, whatever its time step. Tiles do not wait for
each other, and the host asks nothing of them. States stand in memory, where the program that wrote them finds them in
its cache, so that their size is not bound by registers; the time, Δũ and ũ of each sequence stay in these.
"""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.activations import sigmoid
from impls.pytorch.engines.tiles.candidates import recur, stack_candidate
from impls.pytorch.engines.tiles.kinds import LSTM, ROUND
from impls.pytorch.engines.tiles.skip_gate import next_update


@triton.jit(do_not_specialize=["batch", "steps"])
def forward_kernel(
    inputs, lengths, draws, weights, biases, norms, gate_weights, gate_bias,
    state, gates, held, pre, work, probability, stored,
    proposed, cumulative, fired, last, last_probability, last_stored,
    batch, steps,
    KIND: tl.constexpr, ACTIVATION: tl.constexpr, NORM: tl.constexpr, DECISION: tl.constexpr,
    GATE_LAYER: tl.constexpr, FEATURES: tl.constexpr, UNITS: tl.constexpr, WIDTH: tl.constexpr,
    KEEP: tl.constexpr, BY_TIME: tl.constexpr,
    TILE: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_U: tl.constexpr,
    PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Runs a tile; see `buffers.py` for the arrays.

    KEEP: whether a gradient will be asked for. BY_TIME: whether each step's state has a slot of its own, else
    every sequence changes between two. Other arguments as in `candidates.stack_candidate`.
    """
    GATES: tl.constexpr = 4 if KIND == LSTM else 3
    EARLY: tl.constexpr = 4 if KIND == LSTM else 2
    LEAVES: tl.constexpr = 2 if KIND == LSTM else 1
    LAYERS: tl.constexpr = len(UNITS)
    SKIPS: tl.constexpr = DECISION >= ROUND
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    here = rows < batch
    wide_rows = rows.to(tl.int64)
    ends = tl.load(lengths + rows, mask=here, other=0).to(tl.int32)
    p = tl.load(probability + rows, mask=here, other=0.0)
    m = tl.load(stored + rows, mask=here, other=0.0)
    slot = rows * 0
    time, m = next_update(draws, cumulative, fired, rows, rows * 0, ends, steps, p, m, DECISION)
    while tl.max((time < ends).to(tl.int32), axis=0) > 0:
        live = time < ends
        following = time + 1 if BY_TIME else 1 - slot
        record = time.to(tl.int64) * batch + wide_rows
        spoil = m - m if SKIPS else tl.zeros(m.shape, m.dtype)
        logit = stack_candidate(
            inputs, weights, biases, norms, gate_weights, state, gates, held, pre, work,
            (wide_rows * steps + time) * FEATURES,
            (slot.to(tl.int64) * batch + wide_rows) * (LAYERS * LEAVES * WIDTH),
            (following.to(tl.int64) * batch + wide_rows) * (LAYERS * LEAVES * WIDTH),
            record * (LAYERS * GATES * WIDTH),
            record * (LAYERS * EARLY * WIDTH),
            (record if KEEP else wide_rows) * (LAYERS * EARLY * WIDTH),
            wide_rows * ((GATES + 2) * WIDTH),
            live, spoil,
            KIND, ACTIVATION, NORM, GATE_LAYER, FEATURES, UNITS, WIDTH, False, KEEP and SKIPS, KEEP,
            BLOCK_K, BLOCK_G, BLOCK_N, BLOCK_U, PRECISION, CACHE,
        )  # fmt: skip
        slot = tl.where(live, following, slot)
        if SKIPS:
            found = sigmoid((logit + tl.load(gate_bias).to(tl.float64)).to(p.dtype))
            if KEEP:
                tl.store(proposed + wide_rows * steps + time, found, mask=live)
            p = tl.where(live, found, p)
            m = tl.where(live, spoil, m)
        time, m = next_update(
            draws, cumulative, fired, rows, tl.where(live, time + 1, time), ends, steps, p, m, DECISION
        )
    tl.store(last + rows, slot, mask=here)
    if SKIPS:
        tl.store(last_probability + rows, p, mask=here)
        tl.store(last_stored + rows, m, mask=here)
        if KEEP:
            skipping = here & (slot < ends)
            if tl.max(skipping.to(tl.int32), axis=0) > 0:
                own_weights = weights + FEATURES * (GATES * WIDTH)
                for LAYER in tl.static_range(LAYERS):
                    old_at = (slot.to(tl.int64) * batch + wide_rows) * (LAYERS * LEAVES * WIDTH)
                    held_at = (steps * batch + wide_rows) * (LAYERS * EARLY * WIDTH)
                    recur(
                        state, old_at + (LAYER * LEAVES + LEAVES - 1) * WIDTH, held, held_at + LAYER * EARLY * WIDTH,
                        own_weights, skipping, EARLY, GATES, WIDTH, BLOCK_K, BLOCK_G, PRECISION, CACHE,
                    )  # fmt: skip
                    own_weights += 2 * WIDTH * GATES * WIDTH
