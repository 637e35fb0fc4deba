"""A cell's parameters as the kernels read them: flat, every layer padded with zeros to one width.

`weights` has the rows of all layers, each `[gates, width]`: those that meet a layer's input, those that meet its h, the
biases. `turned` `[layers, 2, gates * width, width]` are the matrices the other way, for the gradient: what meets h and,
of layers above the first, what meets the input. `norms` `[layers, 2, early, width]` are layer norm's gains and biases,
of the gates that it acts on. The forget bias is added to the biases that come last before the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from impls.contract import CellSpec
from impls.parameters import cell_shapes, layer_input_sizes


class Packed(NamedTuple):
    """See above; `gate_weights` `[width]` and `gate_bias` `[1]` are the skip gate's."""

    weights: Tensor
    norms: Tensor
    turned: Tensor
    gate_weights: Tensor
    gate_bias: Tensor


def names_of(spec: CellSpec) -> list[str]:
    """The canonical names of the parameters that the time loop reads, in canonical order."""
    return [name for name in cell_shapes(spec) if ".initial_" not in name]


def pack(spec: CellSpec, parameters: Mapping[str, Tensor], *, width: int, backward: bool) -> Packed:
    """The parameters for kernels of this width; for the gradient, `backward`, with `turned` and without `weights`."""
    kind = spec.kind
    gates, early = len(kind.gates), len(kind.normalised)
    like = parameters["layers.0." + kind.matrices[0].prefix + "weights"]
    rows: list[Tensor] = []
    turned: list[Tensor] = []
    norms: list[Tensor] = []
    for number, (inputs, units) in enumerate(zip(layer_input_sizes(spec), spec.units, strict=True)):
        prefix, more = f"layers.{number}.", width - units
        parts = [parameters[f"{prefix}{matrix.prefix}weights"] for matrix in kind.matrices]
        whole = torch.cat([part.reshape(len(part), -1, units) for part in parts], dim=1)
        reading = pad(whole[:inputs], (0, more, 0, 0, 0, width - inputs if number > 0 else 0))
        square = pad(whole[inputs:], (0, more, 0, 0, 0, more))
        if backward:
            of_input = reading.flatten(1).T if number > 0 else square.new_zeros(gates * width, width)
            turned.append(torch.stack([square.flatten(1).T, of_input]))
        else:
            biases = [parameters[f"{prefix}{matrix.prefix}biases"].reshape(-1, units) for matrix in kind.matrices]
            bias = torch.cat(biases)
            bias = bias if spec.layer_norm else _with_forget_bias(spec, bias)
            rows += [reading, square, pad(bias, (0, more))[None]]
        if spec.layer_norm:
            bias = _with_forget_bias(spec, parameters[f"{prefix}norm_biases"])
            norms.append(pad(torch.stack([parameters[f"{prefix}norm_gains"], bias]), (0, more)))
    gate_weights, gate_bias = like.new_zeros(width), like.new_zeros(1)
    if spec.skips:
        gate_weights = pad(parameters["update_gate.weights"][:, 0], (0, width - spec.units[spec.gate_layer]))
        gate_bias = parameters["update_gate.biases"]
    return Packed(
        weights=torch.cat(rows).contiguous() if rows else like.new_zeros(0),
        norms=torch.stack(norms) if norms else like.new_zeros(len(spec.units), 2, early, 0),
        turned=torch.stack(turned).contiguous() if turned else like.new_zeros(0),
        gate_weights=gate_weights.contiguous(),
        gate_bias=gate_bias.contiguous(),
    )


def _with_forget_bias(spec: CellSpec, biases: Tensor) -> Tensor:
    """Biases `[gates, units]`, that of an LSTM's forget gate raised."""
    if "forget_bias" not in spec.kind.options:
        return biases
    raised = biases.clone()
    raised[spec.kind.gates.index("f")] += spec.forget_bias
    return raised
