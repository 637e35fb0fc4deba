"""A step of several sequences at once: each layer's candidate state, and what the skip gate reads of it."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.gru import complete_gru, reset_gru
from impls.pytorch.engines.tiles.kinds import LSTM
from impls.pytorch.engines.tiles.layer_norm import normalise
from impls.pytorch.engines.tiles.lstm import complete_lstm
from impls.pytorch.engines.tiles.products import product


@triton.jit
def recur(
    state, old_at, held, held_at, weights, live,
    EARLY: tl.constexpr, GATES: tl.constexpr, WIDTH: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_G: tl.constexpr, PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Writes `h U` of one layer's gates that wait for no other to `held`; `weights` are those that meet h."""
    for start in range(0, EARLY * WIDTH, BLOCK_G):
        columns = start + tl.arange(0, BLOCK_G)
        total = tl.zeros((live.shape[0], BLOCK_G), state.dtype.element_ty)
        total = product(
            total, state, old_at, live, WIDTH, weights, GATES * WIDTH, columns, EARLY * WIDTH, BLOCK_K, PRECISION, CACHE
        )
        inside = live[:, None] & (columns < EARLY * WIDTH)[None, :]
        tl.store(held + held_at[:, None] + columns[None, :], total, mask=inside)


@triton.jit
def preactivate(
    read, read_at, DEPTH: tl.constexpr, state, old_at, held, held_at, early, early_at, late, late_at,
    weights, biases, live,
    EARLY: tl.constexpr, GATES: tl.constexpr, WIDTH: tl.constexpr, READ_HELD: tl.constexpr, WRITE_HELD: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_G: tl.constexpr, PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Writes one layer's pre-activations: of the gates that wait for no other to `early`, of the others to `late`.

    Those of the others lack their product with what they wait for. Arguments as in `stack_candidate`, of one layer:
    `read` is what it reads, DEPTH elements of it, and `weights` its matrix: the rows that meet `read`, and those that
    meet h.
    """
    of_state = weights + DEPTH * (GATES * WIDTH)
    for start in range(0, GATES * WIDTH, BLOCK_G):
        columns = start + tl.arange(0, BLOCK_G)
        inside = live[:, None] & (columns < EARLY * WIDTH)[None, :]
        held_here = held + held_at[:, None] + columns[None, :]
        if READ_HELD:
            total = tl.load(held_here, mask=inside, other=0.0)
        else:
            total = tl.zeros((live.shape[0], BLOCK_G), state.dtype.element_ty)
            if start < EARLY * WIDTH:
                total = product(
                    total, state, old_at, live, WIDTH, of_state, GATES * WIDTH, columns, EARLY * WIDTH,
                    BLOCK_K, PRECISION, CACHE,
                )  # fmt: skip
            if WRITE_HELD:
                tl.store(held_here, total, mask=inside)
        total = product(
            total, read, read_at, live, DEPTH, weights, GATES * WIDTH, columns, GATES * WIDTH, BLOCK_K, PRECISION, CACHE
        )
        total += tl.load(biases + columns, mask=columns < GATES * WIDTH, other=0.0)[None, :]
        tl.store(early + early_at[:, None] + columns[None, :], total, mask=inside)
        others = live[:, None] & ((columns >= EARLY * WIDTH) & (columns < GATES * WIDTH))[None, :]
        tl.store(late + late_at[:, None] + columns[None, :], total, mask=others)


@triton.jit
def wait_for_reset(
    work, work_at, weights, live, GATES: tl.constexpr, WIDTH: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_N: tl.constexpr, PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Writes a GRU's pre-activation of n, with the product of `r h`; `weights` are those that meet `r h`."""
    for start in range(0, WIDTH, BLOCK_N):
        columns = start + tl.arange(0, BLOCK_N)
        inside = live[:, None] & (columns < WIDTH)[None, :]
        here = work + work_at[:, None] + columns[None, :]
        total = tl.load(here + 2 * WIDTH, mask=inside, other=0.0)
        total = product(
            total, work, work_at + 3 * WIDTH, live, WIDTH, weights, GATES * WIDTH, columns, WIDTH, BLOCK_K, PRECISION,
            CACHE,
        )  # fmt: skip
        tl.store(here + 4 * WIDTH, total, mask=inside)


@triton.jit
def stack_candidate(
    inputs, weights, biases, norms, gate_weights, state, gates, held, pre, work,
    input_at, old_at, new_at, gates_at, held_at, pre_at, work_at, live, spoil,
    KIND: tl.constexpr, ACTIVATION: tl.constexpr, NORM: tl.constexpr, GATE_LAYER: tl.constexpr,
    FEATURES: tl.constexpr, UNITS: tl.constexpr, WIDTH: tl.constexpr,
    READ_HELD: tl.constexpr, WRITE_HELD: tl.constexpr, WRITE_GATES: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_G: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_U: tl.constexpr,
    PRECISION: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """Writes the candidate states of all layers; returns their product with the skip gate's weights, `[rows]` float64.

    Args:
        inputs: `[batch, time, features]`.
        weights, biases, norms, gate_weights: see `packing.py`.
        state, gates, held, pre, work: see `buffers.py`.
        input_at, old_at, new_at, gates_at, held_at, pre_at, work_at: first elements in these arrays, `[rows]`.
        live: `[rows]`, which rows there are.
        spoil: `[rows]`, 0, or NaN where the gate that let an update in read NaN.
        KIND, ACTIVATION: see `kinds.py`.
        NORM: whether there is layer norm.
        GATE_LAYER: the layer whose candidate the skip gate reads; -1 for none.
        FEATURES: of an input.
        UNITS, WIDTH: units of each layer, and the padded units of any.
        READ_HELD, WRITE_HELD: whether `h U` is taken from `held`, or written there.
        WRITE_GATES: whether the activated gates are kept.
        BLOCK_K, BLOCK_G, BLOCK_N, BLOCK_U, PRECISION, CACHE: see `tile_sizes.py`.
    """
    GATES: tl.constexpr = 4 if KIND == LSTM else 3
    EARLY: tl.constexpr = 4 if KIND == LSTM else 2
    LEAVES: tl.constexpr = 2 if KIND == LSTM else 1
    logit = tl.zeros(live.shape, tl.float64)
    own_weights = weights
    for LAYER in tl.static_range(len(UNITS)):
        own_old, own_new = old_at + LAYER * LEAVES * WIDTH, new_at + LAYER * LEAVES * WIDTH
        own_pre, own_gates = pre_at + LAYER * EARLY * WIDTH, gates_at + LAYER * GATES * WIDTH
        preactivate(
            inputs if LAYER == 0 else state, input_at if LAYER == 0 else own_new - WIDTH,
            FEATURES if LAYER == 0 else WIDTH,
            state, own_old + (LEAVES - 1) * WIDTH, held, held_at + LAYER * EARLY * WIDTH,
            pre if NORM else work, own_pre if NORM else work_at, work, work_at,
            own_weights, biases + LAYER * GATES * WIDTH, live,
            EARLY, GATES, WIDTH, READ_HELD, WRITE_HELD, BLOCK_K, BLOCK_G, PRECISION, CACHE,
        )  # fmt: skip
        tl.debug_barrier()
        if NORM:
            for GATE in tl.static_range(EARLY):
                gains = norms + (LAYER * 2 * EARLY + GATE) * WIDTH
                normalise(
                    pre, own_pre + GATE * WIDTH, work, work_at + GATE * WIDTH, live, gains, gains + EARLY * WIDTH,
                    UNITS[LAYER], WIDTH, BLOCK_U,
                )  # fmt: skip
            tl.debug_barrier()
        if KIND == LSTM:
            logit += complete_lstm(
                gate_weights, state, gates, work, own_old, own_new, own_gates, work_at, live, spoil,
                UNITS[LAYER], WIDTH, ACTIVATION, LAYER == GATE_LAYER, WRITE_GATES, BLOCK_U,
            )  # fmt: skip
        else:
            reset_gru(state, work, own_old, work_at, live, UNITS[LAYER], WIDTH, BLOCK_U)
            tl.debug_barrier()
            of_reset = own_weights + (FEATURES if LAYER == 0 else WIDTH) * GATES * WIDTH + EARLY * WIDTH
            wait_for_reset(work, work_at, of_reset, live, GATES, WIDTH, BLOCK_K, BLOCK_N, PRECISION, CACHE)
            tl.debug_barrier()
            logit += complete_gru(
                gate_weights, state, gates, work, own_old, own_new, own_gates, work_at, live, spoil,
                UNITS[LAYER], WIDTH, ACTIVATION, LAYER == GATE_LAYER, WRITE_GATES, BLOCK_U,
            )  # fmt: skip
        tl.debug_barrier()
        own_weights += ((FEATURES if LAYER == 0 else WIDTH) + WIDTH) * GATES * WIDTH
    return logit
