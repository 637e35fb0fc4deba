"""A cell's parameters as the kernels read them: flat, every layer padded with zeros to one width.

`weights` has the rows of all layers, each `[gates, width]`: those that meet a layer's input, those that meet its h.
`turned` `[layers, 2, gates * width, width]` are the matrices the other way, for the gradient: what meets h and, of
layers above the first, what meets the input. Both are rounded to the precision of products. `biases` are
`[layers, gates, width]`; `norms` `[layers, 2, early, width]` are layer norm's gains and biases, of the gates that it
acts on. The forget bias is added to the biases that come last before the gate.
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
    biases: Tensor
    norms: Tensor
    turned: Tensor
    gate_weights: Tensor
    gate_bias: Tensor


def names_of(spec: CellSpec) -> list[str]:
    """The canonical names of the parameters that the time loop reads, in canonical order."""
    return [name for name in cell_shapes(spec) if ".initial_" not in name]


def pack(spec: CellSpec, parameters: Mapping[str, Tensor], *, width: int, precision: str, backward: bool) -> Packed:
    """The parameters for kernels of this width, and of a precision of `tile_sizes.py`.

    For the gradient, `backward`, with `turned` and without `weights` and `biases`.
    """
    kind = spec.kind
    gates, early = len(kind.gates), len(kind.normalised)
    like = parameters["layers.0." + kind.matrices[0].prefix + "weights"]
    rows: list[Tensor] = []
    biases: list[Tensor] = []
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
            parts = [parameters[f"{prefix}{matrix.prefix}biases"].reshape(-1, units) for matrix in kind.matrices]
            bias = torch.cat(parts)
            bias = bias if spec.layer_norm else _with_forget_bias(spec, bias)
            rows += [reading, square]
            biases.append(pad(bias, (0, more)))
        if spec.layer_norm:
            bias = _with_forget_bias(spec, parameters[f"{prefix}norm_biases"])
            norms.append(pad(torch.stack([parameters[f"{prefix}norm_gains"], bias]), (0, more)))
    gate_weights, gate_bias = like.new_zeros(width), like.new_zeros(1)
    if spec.skips:
        gate_weights = pad(parameters["update_gate.weights"][:, 0], (0, width - spec.units[spec.gate_layer]))
        gate_bias = parameters["update_gate.biases"]
    return Packed(
        weights=operands(torch.cat(rows), precision=precision) if rows else like.new_zeros(0),
        biases=torch.stack(biases) if biases else like.new_zeros(0),
        norms=torch.stack(norms) if norms else like.new_zeros(len(spec.units), 2, early, 0),
        turned=operands(torch.stack(turned), precision=precision) if turned else like.new_zeros(0),
        gate_weights=gate_weights.contiguous(),
        gate_bias=gate_bias.contiguous(),
    )


def operands(matrices: Tensor, *, precision: str) -> Tensor:
    """Matrices rounded to a precision of `tile_sizes.py`, to nearest, ties to even.

    In float32 on a GPU those of `bfloat16` are of that type, half as large; else they keep their own.
    """
    if precision == "bfloat16":
        rounded = matrices.bfloat16()
        return rounded if matrices.is_cuda and matrices.dtype == torch.float32 else rounded.to(matrices.dtype)
    if precision == "tf32":
        single = matrices.float()
        bits = single.view(torch.int32)
        raised = bits + 0xFFF + ((bits >> 13) & 1)
        return torch.where(single.isnan(), single, (raised & -0x2000).view(torch.float32)).to(matrices.dtype)
    return matrices


def _with_forget_bias(spec: CellSpec, biases: Tensor) -> Tensor:
    """Biases `[gates, units]`, that of an LSTM's forget gate raised."""
    if "forget_bias" not in spec.kind.options:
        return biases
    raised = biases.clone()
    raised[spec.kind.gates.index("f")] += spec.forget_bias
    return raised
