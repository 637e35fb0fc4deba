"""What forward leaves for the gradient.

With L = layers * leaves * width elements of a sequence's state, and G and E those of all gates and of the gates that
wait for no other, over all layers:

    state      [time + 1, batch, L]   slot 0: before the first step; slot t + 1: the candidate of step t, which is the
                                      state after an update, and is wanted by the gradient where the step was skipped
    gates      [time, batch, G]       after their activations, of updates
    pre        [time, batch, E]       before layer norm
    proposed   [batch, time]          Δũ made of each candidate
    cumulative [batch, time]          ũ
    fired      [batch, time]          the gates: 1 or, where they read NaN, NaN at updates, else 0
    before     [batch, time]          the slot of the state before each step
    last       [batch]                the slot of the final state

A kernel finds the element (slot, sequence, i) of `[slots, batch, n]` at `(slot * batch + sequence) * n + i`. While
forward runs, `held` `[time + 1, batch, E]` keeps `h U` of each update, which the skips before it share, and at `time`
that of the final state; `work` is room for one layer's pre-activations of the sequences that a program has in hand.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec


class Tape(NamedTuple):
    """See above."""

    state: Tensor
    gates: Tensor
    pre: Tensor
    proposed: Tensor
    cumulative: Tensor
    before: Tensor
    last: Tensor


class Sizes(NamedTuple):
    """Elements of one sequence at one step: of its state, of all gates, and of those that wait for no other."""

    state: int
    gates: int
    early: int


def sizes_of(spec: CellSpec, *, width: int) -> Sizes:
    """The sizes of a cell of this padded width."""
    kind, layers = spec.kind, len(spec.units)
    return Sizes(
        layers * len(kind.state) * width, layers * len(kind.gates) * width, layers * len(kind.normalised) * width
    )


def empty_tape(
    spec: CellSpec, *, batch: int, steps: int, width: int, keep: bool, by_time: bool, whole: bool, like: Tensor
) -> Tape:
    """Room for a tape; where nothing is to be kept, for what forward works in.

    Zero where a product over all steps reads what may not be written: unless `whole`, which says that every step has a
    candidate, states; and the gates of a GRU, whose matrix over `r h` reads them.
    """
    sizes = sizes_of(spec, width=width)
    kept = steps if keep else 0
    room = like.new_empty if whole or not keep else like.new_zeros
    gates = like.new_zeros if len(spec.kind.matrices) > 1 else like.new_empty
    return Tape(
        state=room(steps + 1 if by_time else 2, batch, sizes.state),
        gates=gates(kept, batch, sizes.gates),
        pre=room((steps if keep else 1) if spec.layer_norm else 0, batch, sizes.early),
        proposed=like.new_empty(batch, kept if spec.skips else 0),
        cumulative=like.new_empty(batch, steps if spec.skips else 0),
        before=torch.zeros(batch, kept, dtype=torch.int64, device=like.device),
        last=torch.zeros(batch, dtype=torch.int32, device=like.device),
    )


def following_updates(gates: Tensor) -> Tensor:
    """The time of the next update from each step on, `[batch, time]`, which is `time` for none; of gates so shaped."""
    steps = gates.shape[1]
    times = torch.arange(steps, device=gates.device)
    updates = torch.where(gates != 0, times, torch.full_like(times, steps))
    return updates.flip(1).cummin(dim=1).values.flip(1)


def leaves_of(spec: CellSpec, rows: Tensor, *, width: int) -> list[Tensor]:
    """The leaves `[…, units]` of padded states `[…, L]`, as views."""
    count = len(spec.kind.state)
    return [
        rows[..., (layer * count + leaf) * width :][..., :units]
        for layer, units in enumerate(spec.units)
        for leaf in range(count)
    ]


def padded_leaves(leaves: list[Tensor], *, width: int) -> Tensor:
    """The padded states `[batch, L]` of leaves `[batch, units]`."""
    return torch.cat([torch.nn.functional.pad(leaf, (0, width - leaf.shape[-1])) for leaf in leaves], dim=-1)


def apart(views: list[Tensor]) -> list[Tensor]:
    """Copies of views, since what an operator returns may share no memory."""
    return [view.clone(memory_format=torch.contiguous_format) for view in views]
