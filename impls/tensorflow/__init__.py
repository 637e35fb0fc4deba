"""The TensorFlow twin: cells, layers and the learner. Importing a name from here imports tensorflow."""

from impls.both_frameworks import keep_compilers_apart
from impls.tensorflow.keras_backend import check_keras_backend

check_keras_backend()
keep_compilers_apart(other="torch")

from impls.tensorflow.cells import (  # noqa: E402
    GRUCell,
    LSTMCell,
    MultiGRUCell,
    MultiLSTMCell,
    MultiSkipGRUCell,
    MultiSkipLSTMCell,
    SkipGRUCell,
    SkipLSTMCell,
)
from impls.tensorflow.layers import GRU, LSTM, SkipGRU, SkipLSTM  # noqa: E402

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
