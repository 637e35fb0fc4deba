"""Layer norm of one gate's pre-activations, and its adjoint; rows lie in memory, padded with zeros."""

from __future__ import annotations

import triton
import triton.language as tl

from impls.pytorch.engines.tiles.precision import zeros
from impls.pytorch.equations import LAYER_NORM_EPSILON

EPSILON = tl.constexpr(LAYER_NORM_EPSILON)


@triton.jit
def statistics(rows, rows_at, live, units, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Mean and deviation of each row `[rows]`, over its first `units` elements; NaN where the squares overflow."""
    total = zeros(rows_at, rows)
    for start in range(0, WIDTH, BLOCK):
        along = start + tl.arange(0, BLOCK)
        inside = live[:, None] & (along < units)[None, :]
        total += tl.sum(tl.load(rows + rows_at[:, None] + along[None, :], mask=inside, other=0.0), axis=1)
    mean = total / units
    squares = zeros(rows_at, rows)
    for start in range(0, WIDTH, BLOCK):
        along = start + tl.arange(0, BLOCK)
        inside = live[:, None] & (along < units)[None, :]
        centred = tl.load(rows + rows_at[:, None] + along[None, :], mask=inside, other=0.0) - mean[:, None]
        squares += tl.sum(tl.where(inside, centred * centred, 0.0), axis=1)
    return mean, tl.where(squares < float("inf"), tl.sqrt(squares / units), float("nan"))


@triton.jit
def normalise(rows, rows_at, target, target_at, live, gains, biases, units, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Writes `gains (x − mean) / (deviation + ε) + biases` of each row; `gains` and `biases` are one gate's, padded."""
    mean, deviation = statistics(rows, rows_at, live, units, WIDTH, BLOCK)
    for start in range(0, WIDTH, BLOCK):
        along = start + tl.arange(0, BLOCK)
        inside = live[:, None] & (along < WIDTH)[None, :]
        x = tl.load(rows + rows_at[:, None] + along[None, :], mask=inside, other=0.0)
        gain = tl.load(gains + along, mask=along < WIDTH, other=0.0)
        bias = tl.load(biases + along, mask=along < WIDTH, other=0.0)
        normed = gain[None, :] * (x - mean[:, None]) / (deviation[:, None] + EPSILON) + bias[None, :]
        tl.store(target + target_at[:, None] + along[None, :], normed, mask=inside)


@triton.jit
def normalise_back(
    rows, rows_at, flow, flow_at, target, target_at, live, gains, units, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    """Writes the gradient of `rows` to `target`, from `flow`, that of what `normalise` gave.

    A deviation of 0 (one unit, equal units) has gradient 0, as in the reference.
    """
    mean, deviation = statistics(rows, rows_at, live, units, WIDTH, BLOCK)
    scale = 1.0 / (deviation + EPSILON)
    along_rows, total = zeros(rows_at, rows), zeros(rows_at, rows)
    for start in range(0, WIDTH, BLOCK):
        along = start + tl.arange(0, BLOCK)
        inside = live[:, None] & (along < units)[None, :]
        gain = tl.load(gains + along, mask=along < units, other=0.0)
        inner = tl.load(flow + flow_at[:, None] + along[None, :], mask=inside, other=0.0) * gain[None, :]
        centred = tl.load(rows + rows_at[:, None] + along[None, :], mask=inside, other=0.0) - mean[:, None]
        along_rows += tl.sum(tl.where(inside, inner * centred, 0.0), axis=1)
        total += tl.sum(inner, axis=1)
    spread = tl.where(deviation == 0.0, 1.0, deviation)
    bend = along_rows / units * scale * scale / spread
    for start in range(0, WIDTH, BLOCK):
        along = start + tl.arange(0, BLOCK)
        inside = live[:, None] & (along < units)[None, :]
        gain = tl.load(gains + along, mask=along < units, other=0.0)
        inner = tl.load(flow + flow_at[:, None] + along[None, :], mask=inside, other=0.0) * gain[None, :]
        centred = tl.load(rows + rows_at[:, None] + along[None, :], mask=inside, other=0.0) - mean[:, None]
        change = inner * scale[:, None] - centred * bend[:, None] - (total / units * scale)[:, None]
        padded = live[:, None] & (along < WIDTH)[None, :]
        tl.store(target + target_at[:, None] + along[None, :], tl.where(inside, change, 0.0), mask=padded)
