"""PyTorch's packed sequences, as padded ones with lengths, and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def padded(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """`[batch, time, …]` and lengths `[batch]`, in the order that the sequences had before they were sorted."""
    return pad_packed_sequence(packed, batch_first=True)


def packed_like(packed: PackedSequence, value: Tensor, *, lengths: Tensor) -> PackedSequence:
    """Packs `[batch, time, …]` as `packed` is: the same sizes of batches, the same order."""
    if packed.sorted_indices is not None:
        value, lengths = value[packed.sorted_indices], lengths[packed.sorted_indices.to(lengths.device)]
    data = pack_padded_sequence(value, lengths, batch_first=True).data
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
