"""The native engine: PyTorch's own LSTM, what a user would pick for a plain cell, on canonical parameters.

`torch.nn.LSTM` is the operator `torch.lstm` with parameters in a layout of its own, which these are put into at every
call. On a GPU it is cuDNN's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from impls.checks import check_native
from impls.contract import CellSpec
from impls.errors import CellError
from impls.pytorch.engines.unrolled import Unrolled, real_steps, without_padding
from impls.pytorch.equations import LayerState, layer_parameters
from impls.states import FlatState

_LayerWeights = tuple[Tensor, Tensor, Tensor, Tensor]


def unroll_native(
    spec: CellSpec,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    state: FlatState,
    *,
    updates: Tensor | None = None,
    gate_noise: Tensor | None = None,
    lengths: Tensor | None = None,
    every_step: bool = True,
) -> Unrolled:
    """Runs the framework's layers; arguments and result as those of `unroll_reference`.

    Layers of equal units are one call. Sequences of different lengths are packed, for which PyTorch reads the lengths
    on the CPU. Raises `CellError` for a cell that the layer does not compute.
    """
    check_native(spec, framework="pytorch", skips_given=updates is not None)
    if inputs.is_cuda and not torch.backends.cudnn.is_acceptable(inputs):  # type: ignore[no-untyped-call]
        raise CellError("engine='native' on a GPU needs cuDNN, which PyTorch does not find; use engine='fast'")
    real = None if lengths is None else real_steps(lengths, steps=inputs.shape[1])
    below: Tensor | PackedSequence = inputs
    if lengths is not None and real is not None:
        ends = lengths.cpu().clamp(min=1)  # one without a step runs one, which is not taken
        inputs = without_padding(inputs, real=real)
        below = pack_padded_sequence(inputs, ends, batch_first=True, enforce_sorted=False)
    weights = [_weights(spec, layer_parameters(parameters, number)) for number in range(len(spec.units))]
    together = len(set(spec.units)) == 1
    layers: list[LayerState] = []
    for first in range(0, len(weights), len(weights) if together else 1):
        calls = slice(first, None if together else first + 1)
        below, found = _run(below, state.layers[calls], weights[calls])
        layers += found
    gates = inputs.new_ones(*inputs.shape[:2], 1)
    if lengths is not None and real is not None:
        started = (lengths > 0)[:, None]
        layers = [
            tuple(torch.where(started, new, old) for new, old in zip(*pair, strict=True))
            for pair in zip(layers, state.layers, strict=True)
        ]
        gates = real.to(inputs.dtype)
    last = layers[-1][-1].unsqueeze(1)
    if not every_step:  # the final state is the last step, without a gradient as long as the sequence
        h = last.clone()  # what is done to it in place is not done to the state
    elif isinstance(below, PackedSequence):
        h, _ = pad_packed_sequence(below, batch_first=True, total_length=inputs.shape[1])
        h = torch.where(gates.bool(), h, last)
    else:
        h = below
    return Unrolled(h, gates, FlatState(tuple(layers), ()))


def _weights(spec: CellSpec, layer: Mapping[str, Tensor]) -> _LayerWeights:
    """A layer's parameters as the operator reads them: by gate i, f, j, o, of x, of h, and two biases.

    The second bias is a constant, the forget bias where it belongs: the operator adds both, and has none of its own.
    """
    units = layer["biases"].shape[0] // 4
    i, j, f, o = torch.chunk(torch.cat([layer["weights"], layer["biases"][None]]), 4, dim=1)
    rows = torch.cat([i, f, j, o], dim=1).T
    constant = torch.zeros_like(layer["biases"])
    constant[units : 2 * units] = spec.forget_bias
    return rows[:, : -units - 1], rows[:, -units - 1 : -1], rows[:, -1], constant


def _run(
    below: Tensor | PackedSequence, states: Sequence[LayerState], weights: Sequence[_LayerWeights]
) -> tuple[Tensor | PackedSequence, list[LayerState]]:
    """Layers of equal units: what the top one gives, as the inputs are given, and their states `(c, h)`."""
    flat = _in_one_piece(weights)
    c, h = (torch.stack(leaves) for leaves in zip(*states, strict=True))
    options = (True, len(weights), 0.0, torch.is_grad_enabled(), False)  # biases, layers, dropout, training, one way
    if isinstance(below, PackedSequence):
        order, back = below.sorted_indices, below.unsorted_indices
        assert order is not None
        assert back is not None
        start = (h.index_select(1, order), c.index_select(1, order))
        data, h, c = torch.lstm(below.data, below.batch_sizes, start, flat, *options)
        h, c = (leaf.index_select(1, back) for leaf in (h, c))
        given: Tensor | PackedSequence = below._replace(data=data)
    else:
        given, h, c = torch.lstm(below, (h.contiguous(), c.contiguous()), flat, *options, True)
    return given, list(zip(c.unbind(), h.unbind(), strict=True))


def _in_one_piece(weights: Sequence[_LayerWeights]) -> list[Tensor]:
    """The layers' weights in the operator's order; on a GPU one block of memory, which cuDNN would copy them to."""
    listed = [tensor for layer in weights for tensor in layer]
    if not listed[0].is_cuda:
        return [tensor.contiguous() for tensor in listed]
    matrices_first = sorted(range(len(listed)), key=lambda number: (listed[number].dim() == 1, number))
    pieces = [listed[number] for number in matrices_first]
    block = torch.cat([piece.reshape(-1) for piece in pieces])
    cut = torch.split(block, [piece.numel() for piece in pieces])
    placed = dict(zip(matrices_first, cut, strict=True))
    return [placed[number].view(tensor.shape) for number, tensor in enumerate(listed)]
