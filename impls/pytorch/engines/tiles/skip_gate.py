"""The skip gate: when it fires next, and which way its gradient goes."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.kinds import ALWAYS, ROUND, SCHEDULED


@triton.jit
def next_update(draws, cumulative, gates, rows, time, lengths, steps, probability, stored, DECISION: tl.constexpr):
    """Each sequence's next update from `time` on, or its length: eq. 5 repeated, rounding for rounding.

    Writes ũ of the steps that it passes, and the gate of the update. A gate that reads NaN fires, so that NaN is passed
    on from there.

    Args:
        draws, cumulative, gates: `[batch, steps]`.
        rows, time, lengths, probability, stored: of the tile's sequences, `[rows]`.
        steps: of a whole sequence.
        DECISION: one of `kinds.DECISIONS`.

    Returns the time, and ũ after the last step that was passed: where it fired, before it is set to 0.
    """
    if DECISION == ALWAYS:
        tl.store(gates + rows.to(tl.int64) * steps + time, 1.0, mask=time < lengths)
    else:
        searching = time < lengths
        while tl.max(searching.to(tl.int32), axis=0) > 0:
            at = rows.to(tl.int64) * steps + time
            if DECISION == SCHEDULED:
                fires = tl.load(draws + at, mask=searching, other=0.0) != 0.0
                tl.store(gates + at, 1.0, mask=searching & fires)
            else:
                remaining = 1.0 - stored
                stored = tl.where(searching, stored + tl.where(probability > remaining, remaining, probability), stored)
                tl.store(cumulative + at, stored, mask=searching)
                bound = 0.5 if DECISION == ROUND else tl.load(draws + at, mask=searching, other=0.0)
                fires = (stored > bound) | (stored != stored)
                tl.store(gates + at, 1.0 + (stored - stored), mask=searching & fires)
            searching = searching & (fires == 0)
            time = tl.where(searching, time + 1, time)
            searching = searching & (time < lengths)
    return time, stored


@triton.jit
def gate_before(proposed, cumulative, gates, first_probability, first_stored, rows, time, before, steps, live):
    """Δũ and the stored ũ that a step reads.

    Args:
        proposed, cumulative, gates: `[batch, steps]`.
        first_probability, first_stored: of the initial state, `[rows]`.
        rows, time, live: the sequences, their steps, and which count.
        before: the slot of the state before the step, 0 before the first update.
        steps: of a whole sequence.
    """
    row_at = rows.to(tl.int64) * steps
    carried = tl.load(proposed + row_at + before - 1, mask=live & (before > 0), other=0.0)
    carried = tl.where(before > 0, carried, first_probability)
    later = live & (time > 0)
    fired = tl.load(gates + row_at + time - 1, mask=later, other=1.0)
    stored = tl.load(cumulative + row_at + time - 1, mask=later, other=0.0)
    stored = tl.where(time > 0, tl.where(fired == 0.0, stored, 0.0), first_stored)
    return carried, stored
