"""The candidates of steps that were skipped: a gradient passes through them, and none of them waits for another."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.activations import sigmoid
from impls.pytorch.engines.tiles.candidates import stack_candidate
from impls.pytorch.engines.tiles.kinds import LSTM


@triton.jit(do_not_specialize=["batch", "steps"])
def skips_kernel(
    inputs, lengths, weights, biases, norms, gate_weights, gate_bias,
    state, gates, held, pre, work, proposed, fired, before, following,
    batch, steps,
    KIND: tl.constexpr, ACTIVATION: tl.constexpr, NORM: tl.constexpr, GATE_LAYER: tl.constexpr,
    FEATURES: tl.constexpr, UNITS: tl.constexpr, WIDTH: tl.constexpr,
    TILE: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_U: tl.constexpr,
    PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Writes the candidate state and Δũ of each skipped step in the step's own slot, which no state takes.

    A program takes every so manyth block of pairs of a sequence and a step, and nothing where none was skipped. The
    products of a run's state, which the update after the run has made, are taken from there. `before` and `following`
    `[batch, steps]` are the slot of the state before each step and the step of the next update. Other arrays as
    `buffers.py` has them, other arguments as in `candidates.stack_candidate`.
    """
    GATES: tl.constexpr = 4 if KIND == LSTM else 3
    EARLY: tl.constexpr = 4 if KIND == LSTM else 2
    LEAVES: tl.constexpr = 2 if KIND == LSTM else 1
    LAYERS: tl.constexpr = len(UNITS)
    places = tl.program_id(0) * TILE + tl.arange(0, TILE)
    block = tl.program_id(0)
    while block * TILE < batch * steps:
        pairs = block * TILE + tl.arange(0, TILE)
        inside = pairs < batch * steps
        rows, time = pairs % batch, pairs // batch
        at = rows * steps + time
        ends = tl.load(lengths + rows, mask=inside, other=0).to(tl.int32)
        live = inside & (time < ends) & (tl.load(fired + at, mask=inside, other=1.0) == 0.0)
        if tl.max(live.to(tl.int32), axis=0) > 0:
            old = tl.load(before + at, mask=live, other=0)
            update = tl.load(following + at, mask=live, other=0)
            record = time.to(tl.int64) * batch + rows
            logit = stack_candidate(
                inputs, weights, biases, norms, gate_weights, state, gates, held, pre, work,
                at.to(tl.int64) * FEATURES,
                (old * batch + rows) * (LAYERS * LEAVES * WIDTH),
                (record + batch) * (LAYERS * LEAVES * WIDTH),
                record * (LAYERS * GATES * WIDTH),
                (update * batch + rows) * (LAYERS * EARLY * WIDTH),
                record * (LAYERS * EARLY * WIDTH),
                places.to(tl.int64) * ((GATES + 2) * WIDTH),
                live, tl.zeros(live.shape, state.dtype.element_ty),
                KIND, ACTIVATION, NORM, GATE_LAYER, FEATURES, UNITS, WIDTH, True, False, False,
                BLOCK_K, BLOCK_G, BLOCK_N, BLOCK_U, PRECISION, CACHE,
            )  # fmt: skip
            found = sigmoid((logit + tl.load(gate_bias).to(tl.float64)).to(proposed.dtype.element_ty))
            tl.store(proposed + at, found, mask=live)
        block += tl.num_programs(0)
