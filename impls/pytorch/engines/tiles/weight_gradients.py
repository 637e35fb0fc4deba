"""What is left of the gradient after the rounds: products over all steps, each of them one of the library's.

A step without an update has changes of 0. The library's product does not leave it out: to know how many there are, the
host would have to wait for the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from impls.contract import CellSpec
from impls.pytorch.adjoints import Activated, Changes, Gradients, inputs_gradient, split, weight_gradients
from impls.pytorch.engines.tiles.buffers import Tape, leaves_of
from impls.pytorch.engines.unrolled import real_steps, without_padding
from impls.pytorch.equations import layer_parameters


class Rounds(NamedTuple):
    """Gradients that the rounds left, 0 at steps without an update.

    Of all layers' pre-activations, `changes` `[time, batch, G]` and after layer norm `normed` `[time, batch, E]`, with
    G and E of `buffers.py`; of the skip gate's logits, `[batch, time]`.
    """

    changes: Tensor
    normed: Tensor
    logits: Tensor


def from_rounds(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    ends: Tensor,
    tape: Tape,
    rounds: Rounds,
    *,
    width: int,
    wanted: bool,
) -> tuple[Gradients, Tensor | None]:
    """The gradients of all parameters by name and, where `wanted`, of the inputs `[batch, time, features]`.

    `ends` `[batch]` is where each sequence does; `width` is that of a padded layer.
    """
    kind = spec.kind
    below = without_padding(inputs, real=real_steps(ends, steps=inputs.shape[1])).transpose(0, 1)
    rows = torch.arange(len(inputs), device=inputs.device)
    leaves = len(kind.state)
    states, candidates = leaves_of(spec, tape.state, width=width), leaves_of(spec, tape.state[1:], width=width)
    gradients: Gradients = {}
    found: Tensor | None = None
    for number in range(len(spec.units)):
        layer = split(spec, layer_parameters(parameters, number))
        changes = _gates(spec, rounds.changes, number, width=width)
        firsts = [kind.gates.index(matrix.gates[0]) for matrix in kind.matrices]
        products = tuple(
            changes[:, :, first : first + len(matrix.gates)].flatten(2)
            for first, matrix in zip(firsts, kind.matrices, strict=True)
        )
        pre, normed = None, products[0]
        if spec.layer_norm:
            pre, normed = (_gates(spec, part, number, width=width).flatten(2) for part in (tape.pre, rounds.normed))
        whole = Changes(products, normed)
        activated = Activated(pre, _gates(spec, tape.gates, number, width=width).unbind(2))
        top = number * leaves + leaves - 1
        state = (states[top][tape.before.T, rows],) * leaves  # of a state, weights meet h alone
        of_layer = weight_gradients(spec, layer, below, state, activated, whole)
        gradients |= {f"layers.{number}.{name}": value for name, value in of_layer.items()}
        if number == 0 and wanted:
            found = inputs_gradient(spec, layer, whole).transpose(0, 1).contiguous()
        below = candidates[top]
    if spec.skips:
        fed = candidates[spec.gate_layer % len(spec.units) * leaves]
        logits = rounds.logits.T.reshape(-1, 1)
        gradients["update_gate.weights"] = fed.reshape(-1, fed.shape[2]).T @ logits
        gradients["update_gate.biases"] = logits.sum().reshape(1)
    return gradients, found


def _gates(spec: CellSpec, rows: Tensor, layer: int, *, width: int) -> Tensor:
    """One layer's gates `[time, batch, gates, units]` of `[time, batch, layers * gates * width]`, as a view."""
    steps, batch, _ = rows.shape
    gates = rows.shape[2] // (len(spec.units) * width)
    return rows.view(steps, batch, len(spec.units), gates, width)[:, :, layer, :, : spec.units[layer]]
