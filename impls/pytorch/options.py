"""The sets of options that the public classes take."""

from __future__ import annotations

from typing import Annotated, Required

import torch

from impls import options
from impls.options import ForgetBias, Option, SkipGate, StackGate, TimeLoop


class CellOptions(options.CellOptions, total=False):
    """Of every cell."""

    input_size: Required[Annotated[int, Option("features of one time step.")]]
    seed: Annotated[
        int | None,
        Option("of the initial values, the same in both frameworks; None draws one from PyTorch's generator.", None),
    ]
    dtype: Annotated[str | torch.dtype, Option("floating type of the parameters.", "float32")]


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


class LayerOptions(CellOptions, TimeLoop, total=False):
    """Of every layer: a cell's, and the manners of `torch.nn.LSTM`."""

    batch_first: Annotated[
        bool, Option("inputs and outputs are `[batch, time, …]`; False for `[time, batch, …]`.", True)
    ]
    every_step: Annotated[
        bool, Option("False where h is wanted at the last step alone, `[batch, units]`, which costs less.", True)
    ]


class LSTMOptions(LayerOptions, ForgetBias):
    """Of LSTM layers."""


class SkipOptions(LayerOptions, StackGate):
    """Of layers that learn to skip."""


class SkipLSTMOptions(LSTMOptions, StackGate):
    """Of LSTM layers that learn to skip."""
