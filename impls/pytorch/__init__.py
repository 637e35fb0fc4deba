"""The PyTorch twin: cells, layers and the learner. Importing a name from here imports torch."""

from impls.pytorch.cells import (
    GRUCell,
    LSTMCell,
    MultiGRUCell,
    MultiLSTMCell,
    MultiSkipGRUCell,
    MultiSkipLSTMCell,
    SkipGRUCell,
    SkipLSTMCell,
)
from impls.pytorch.layers import GRU, LSTM, SkipGRU, SkipLSTM

__all__ = [
    "GRU",
    "LSTM",
    "GRUCell",
    "LSTMCell",
    "MultiGRUCell",
    "MultiLSTMCell",
    "MultiSkipGRUCell",
    "MultiSkipLSTMCell",
    "SkipGRU",
    "SkipGRUCell",
    "SkipLSTM",
    "SkipLSTMCell",
]
