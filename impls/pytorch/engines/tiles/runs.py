"""What a run of skips does to the gradient, before that gradient is known.

Through a skipped step the gradients gp of Δũ and gm of ũ change linearly, by numbers that forward has left, and by the
product of g, the gradient of the state, with what the step would have changed. g itself stands still in a run but for
the outputs' gradients. So a whole run is a small linear map of gp, gm and g, which a pass over the steps makes for all
sequences and units at once; back through time, `backward.py` then pays for a run as for one product. Runs do not wait
for each other: programs share them out by the time at which they begin, so that the pass is as deep as the longest run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.kinds import ROUND
from impls.pytorch.engines.tiles.skip_gate import gate_before


@triton.jit(do_not_specialize=["batch", "steps", "h_batch", "h_time"])
def runs_kernel(
    lengths, state, proposed, cumulative, fired, before, following, first_probability, first_stored, of_h, of_gates,
    run_vectors, run_constants, run_scalars, run_flow,
    batch, steps, h_batch, h_time, h_unit,
    DECISION: tl.constexpr, STATE: tl.constexpr, WIDTH: tl.constexpr, UNITS: tl.constexpr,
    BLOCKS: tl.constexpr, OF_H: tl.constexpr, OF_GATES: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
    SPAN: tl.constexpr,
):  # fmt: skip
    """Writes the map of each run to the slot of the update that it follows, 0 before the first.

    A program takes ROWS sequences, BLOCK elements of their states, and the runs that begin within SPAN steps.

    With g the gradient of the state after the run, of the last `WIDTH` elements (h of the top layer) without the
    outputs' gradients within, a run makes of gp, gm

        gp' = pp gp + pm gm + ⟨g, vector 0⟩ + constants        gm' = mp gp + mm gm + ⟨g, vector 1⟩ + constants

    Args:
        lengths: `[batch]`.
        state, proposed, cumulative, fired, before, first_probability, first_stored: see `buffers.py`.
        following: `[batch, steps]`, the time of the next update from each step on, `steps` for none.
        of_h, of_gates: gradients of h `[batch, time, units]`, with strides h_batch, h_time and h_unit, and of the
            gates `[batch, time]`, where OF_H and OF_GATES say so.
        run_vectors: `[steps + 1, batch, 2, STATE]`.
        run_constants: `[steps + 1, batch, BLOCKS, 2]`, sums over a program's part of the state.
        run_scalars: `[steps + 1, batch, 6]`: pp, pm, mp, mm, and the constants that no program sums.
        run_flow: `[steps + 1, batch, WIDTH]`, the sum of the gradients of h over the run and the update before it.
        STATE: elements of a sequence's state.
        UNITS, WIDTH: as in `candidates.stack_candidate`.
    """
    SKIPS: tl.constexpr = DECISION >= ROUND
    TOP: tl.constexpr = UNITS[len(UNITS) - 1]
    dtype = state.dtype.element_ty
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = rows < batch
    part = tl.program_id(1)
    columns = (0 if SKIPS else STATE - WIDTH) + part * BLOCK + tl.arange(0, BLOCK)
    held = here[:, None] & (columns < STATE)[None, :]
    units = columns - (STATE - WIDTH)
    of_top = here[:, None] & ((units >= 0) & (units < WIDTH))[None, :]
    real = here[:, None] & ((units >= 0) & (units < TOP))[None, :]
    wide_rows = rows.to(tl.int64)
    ends = tl.load(lengths + rows, mask=here, other=0).to(tl.int32)
    p0 = tl.load(first_probability + rows, mask=here, other=0.0)
    m0 = tl.load(first_stored + rows, mask=here, other=0.0)
    flow = tl.zeros((ROWS, BLOCK), dtype)
    vector_p, vector_m = flow, flow
    constant_p, constant_m = flow, flow
    zero = tl.zeros((ROWS,), dtype)
    pp, pm, mp, mm, bp, bm = zero + 1.0, zero, zero, zero + 1.0, zero, zero
    first_step = tl.program_id(2) * SPAN
    earliest = first_step - (first_step == 0).to(tl.int32)  # at -1 the run before the first update is written
    own = wide_rows * steps + first_step
    next_span = rows * 0 + first_step + SPAN
    begins = here & ((tl.load(following + own, mask=here, other=0) < next_span) | (next_span == SPAN))
    further = begins & (next_span < steps)
    last = tl.load(following + own + SPAN, mask=further, other=0).to(tl.int32) - 1
    time = tl.where(further, last, tl.where(begins, steps - 1, earliest - 1))
    while tl.max(time, axis=0) >= earliest:
        live = time >= earliest
        at = wide_rows * steps + time
        inside = live & (time >= 0)
        gate = tl.load(fired + at, mask=inside, other=1.0)
        update = gate != 0.0  # NaN too
        if OF_H:
            h_at = of_h + (wide_rows * h_batch + time.to(tl.int64) * h_time)[:, None] + units[None, :] * h_unit
            flow += tl.load(h_at, mask=real & inside[:, None], other=0.0)
        record = (time + 1).to(tl.int64) * batch + wide_rows
        ending = live & update
        if OF_H:
            tl.store(run_flow + record[:, None] * WIDTH + units[None, :], flow, mask=of_top & ending[:, None])
        if SKIPS:
            kept = run_vectors + record[:, None] * (2 * STATE) + columns[None, :]
            tl.store(kept, vector_p, mask=held & ending[:, None])
            tl.store(kept + STATE, vector_m, mask=held & ending[:, None])
            if tl.max(ending.to(tl.int32), axis=0) > 0:
                sums = run_constants + (record * BLOCKS + part) * 2
                tl.store(sums, tl.sum(constant_p, axis=1), mask=ending)
                tl.store(sums + 1, tl.sum(constant_m, axis=1), mask=ending)
            first = ending & (rows * 0 + part == 0)
            scalars = run_scalars + record * 6
            tl.store(scalars, pp, mask=first)
            tl.store(scalars + 1, pm, mask=first)
            tl.store(scalars + 2, mp, mask=first)
            tl.store(scalars + 3, mm, mask=first)
            tl.store(scalars + 4, bp, mask=first)
            tl.store(scalars + 5, bm, mask=first)

            skips = inside & (gate == 0.0) & (time < ends)
            old = tl.load(before + at, mask=inside, other=0)
            p, m = gate_before(proposed, cumulative, fired, p0, m0, rows, time, old, steps, skips)
            through = skips & ((p > 1.0 - m) == 0)
            rest = 1.0 - tl.load(cumulative + at, mask=skips, other=0.0)
            rise = tl.load(proposed + at, mask=skips, other=0.0) - p
            read = held & skips[:, None]
            candidate = tl.load(state + (record * STATE)[:, None] + columns[None, :], mask=read, other=0.0)
            present = tl.load(
                state + ((old * batch + wide_rows) * STATE)[:, None] + columns[None, :], mask=read, other=0.0
            )
            change = candidate - present
            passed, skipped = through[:, None], skips[:, None]
            along = change + rise[:, None] * vector_p + rest[:, None] * vector_m
            vector_p = tl.where(passed, vector_p + along, vector_p)
            vector_m = tl.where(skipped, tl.where(passed, along, 0.0), vector_m)
            along = flow * change + rise[:, None] * constant_p + rest[:, None] * constant_m
            constant_p = tl.where(passed, constant_p + along, constant_p)
            constant_m = tl.where(skipped, tl.where(passed, along, 0.0), constant_m)
            along_p, along_m = rise * pp + rest * mp, rise * pm + rest * mm
            constant = rise * bp + rest * bm
            if OF_GATES:
                constant += tl.load(of_gates + at, mask=skips, other=0.0)
            pp, pm, bp = (
                tl.where(through, pp + along_p, pp),
                tl.where(through, pm + along_m, pm),
                tl.where(through, bp + constant, bp),
            )
            mp, mm, bm = (
                tl.where(skips, tl.where(through, along_p, 0.0), mp),
                tl.where(skips, tl.where(through, along_m, 0.0), mm),
                tl.where(skips, tl.where(through, constant, 0.0), bm),
            )
            vector_p = tl.where(update[:, None], 0.0, vector_p)
            vector_m = tl.where(update[:, None], 0.0, vector_m)
            constant_p = tl.where(update[:, None], 0.0, constant_p)
            constant_m = tl.where(update[:, None], 0.0, constant_m)
            pp, mm = tl.where(update, 1.0, pp), tl.where(update, 1.0, mm)
            pm, mp = tl.where(update, 0.0, pm), tl.where(update, 0.0, mp)
            bp, bm = tl.where(update, 0.0, bp), tl.where(update, 0.0, bm)
        flow = tl.where(update[:, None], 0.0, flow)
        time -= 1
