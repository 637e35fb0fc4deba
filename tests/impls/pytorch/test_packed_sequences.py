"""Packed sequences through the layers, as through `torch.nn.LSTM`: each sequence as if it were run alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, unpack_sequence

from impls.contract import ENGINES
from impls.errors import CellError
from impls.pytorch import GRU, LSTM, SkipGRU, SkipLSTM
from tests.impls.frameworks import leaves

LAYERS = (LSTM, GRU, SkipLSTM, SkipGRU)
LENGTHS = [3, 6, 1, 4]


def sequences() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, 3, generator=generator, dtype=torch.float64) for length in LENGTHS]


def built(layer_class: Any, engine: str, **options: Any) -> Any:
    return layer_class((2, 5), input_size=3, seed=1, dtype="float64", engine=engine, **options)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("layer_class", LAYERS)
def test_packed_sequences_are_run_one_by_one(layer_class: Any, is_sorted: bool, batch_first: bool, engine: str) -> None:
    xs = sorted(sequences(), key=len, reverse=True) if is_sorted else sequences()
    packed = pack_sequence(xs, enforce_sorted=is_sorted)
    layer = built(layer_class, engine, batch_first=batch_first)
    outputs, state = layer(packed)
    for value in outputs:
        assert isinstance(value, PackedSequence)
        torch.testing.assert_close(value.batch_sizes, packed.batch_sizes)
        for name in ("sorted_indices", "unsorted_indices"):
            ours, theirs = getattr(value, name), getattr(packed, name)
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)
    alone = built(layer_class, engine)
    for number, (x, h, gates) in enumerate(zip(xs, *(unpack_sequence(value) for value in outputs), strict=True)):
        expected, final = alone(x[None])
        torch.testing.assert_close(h, expected.h[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(gates, expected.state_gate[0], rtol=0, atol=0)
        for ours, theirs in zip(leaves(state), leaves(final), strict=True):
            torch.testing.assert_close(ours[number], theirs[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient_reaches_every_sequence_and_continues_from_a_state(engine: str) -> None:
    xs = [x.requires_grad_() for x in sequences()]
    layer = built(SkipLSTM, engine)
    start = leaves(layer(torch.randn(4, 2, 3, dtype=torch.float64))[1])
    start = [leaf.detach().requires_grad_() for leaf in start]
    outputs, _ = layer(pack_sequence(xs, enforce_sorted=False), start)
    ours = torch.autograd.grad((outputs.h.data**2).sum(), [*xs, *start])
    loss = sum((layer(x[None], [leaf[n : n + 1] for leaf in start])[0].h ** 2).sum() for n, x in enumerate(xs))
    theirs = torch.autograd.grad(loss, [*xs, *start])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_last_step_of_packed_sequences_is_a_tensor_in_their_own_order(engine: str) -> None:
    packed = pack_sequence(sequences(), enforce_sorted=False)
    outputs, state = built(SkipGRU, engine, every_step=False)(packed)
    assert outputs.h.shape == (4, 5)
    torch.testing.assert_close(outputs.h, state[1].h, rtol=0, atol=0)
    assert isinstance(outputs.state_gate, PackedSequence)
    whole = built(SkipGRU, engine)(packed)[0]
    for number, h in enumerate(unpack_sequence(whole.h)):
        torch.testing.assert_close(outputs.h[number], h[-1], rtol=0, atol=0)


def test_lengths_beside_a_packed_sequence_are_refused() -> None:
    packed = pack_padded_sequence(torch.zeros(2, 5, 3, dtype=torch.float64), torch.tensor([5, 2]), batch_first=True)
    with pytest.raises(CellError, match="a PackedSequence has its own"):
        built(SkipGRU, "reference")(packed, lengths=torch.tensor([5, 2]))
