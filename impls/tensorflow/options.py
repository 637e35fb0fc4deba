"""The sets of options that the public classes take."""

from __future__ import annotations

from typing import Annotated, Any

import tensorflow as tf

from impls import options
from impls.options import ForgetBias, Option, SkipGate, StackGate, TimeLoop


class _Options(options.CellOptions, total=False):
    input_size: Annotated[int | None, Option("features of one time step; None takes it from the first call.", None)]
    seed: Annotated[
        int | None,
        Option("of the initial values, the same in both frameworks; None draws one from Python's generator.", None),
    ]


class CellOptions(_Options, total=False):
    """Of every cell."""

    dtype: Annotated[str | tf.DType, Option("floating type of the parameters.", "float32")]


class LSTMCellOptions(CellOptions, ForgetBias):
    """Of LSTM cells."""


class SkipCellOptions(CellOptions, SkipGate):
    """Of cells that learn to skip."""


class SkipLSTMCellOptions(LSTMCellOptions, SkipGate):
    """Of LSTM cells that learn to skip."""


class SkipStackOptions(CellOptions, StackGate):
    """Of stacks that learn to skip."""


class SkipLSTMStackOptions(LSTMCellOptions, StackGate):
    """Of LSTM stacks that learn to skip."""


class LayerOptions(_Options, TimeLoop, total=False):
    """Of every layer: a cell's, the manners of `keras.layers.LSTM`, and Keras's own."""

    return_sequences: Annotated[
        bool | None,
        Option(
            "True or False returns what `keras.layers.LSTM` does: h at every step, or at the last one, which costs no "
            "h at the others. None returns `outputs, state`.",
            None,
        ),
    ]
    return_state: Annotated[bool, Option("with it, Keras's list of outputs and state tensors.", False)]
    dtype: Annotated[Any, Option("Keras's: a type such as `float64`, or a policy such as `mixed_bfloat16`.", None)]
    name: Annotated[str | None, Option("Keras's.", None)]
    trainable: Annotated[bool, Option("Keras's.", True)]
    autocast: Annotated[bool, Option("Keras's.", True)]
    activity_regularizer: Annotated[Any, Option("Keras's.", None)]
    input_shape: Annotated[tuple[int | None, ...] | None, Option("Keras's.", None)]
    input_dim: Annotated[int | None, Option("Keras's.", None)]


class LSTMOptions(LayerOptions, ForgetBias):
    """Of LSTM layers."""


class SkipOptions(LayerOptions, StackGate):
    """Of layers that learn to skip."""


class SkipLSTMOptions(LSTMOptions, StackGate):
    """Of LSTM layers that learn to skip."""
