"""The public layers: a cell over whole sequences, by either engine, with the manners of `torch.nn.LSTM`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from impls import checks, states
from impls.contract import DEFAULT_ENGINE, CellSpec
from impls.parameters import initial_parameters
from impls.pytorch.calls import checked_call
from impls.pytorch.engines import unroll
from impls.pytorch.named_parameters import NamedParameters, seed_or_drawn
from impls.states import Outputs


class Layer(NamedParameters):
    """What all four layers share.

    Args:
        units: units of one layer (an int), or of each layer of a stack from the bottom up (a sequence); the
            state's structure follows: that of the single cell, or of the `Multi…` cell.
        input_size: features of one time step.
        activation: `tanh`, `relu`, `sigmoid` or `identity`, or a function of one of these names.
        forget_bias: added to the LSTM's forget gate inside the sigmoid.
        layer_norm: normalise each gate's pre-activation on its own.
        update_bias: initial bias of the skip gate; 1 starts with nearly all updates.
        initial_state: `learned`, one row a layer shared by the batch, drawn from N(0, 1), or `zeros`.
        gate: `round` (eq. 2) or `bernoulli`, which reads `gate_noise`.
        gate_layer: the layer whose candidate state feeds the gate; -1 is the top.
        engine: how the time loop runs; the results are the same.
        batch_first: inputs and outputs are `[batch, time, …]`; False for `[time, batch, …]`.
        seed: seed of the initial values, the same in both frameworks; None draws one from PyTorch's
            generator.
        dtype: floating type of the parameters.

    Raises `CellError` for anything that a layer cannot be built from.
    """

    def __init__(
        self,
        *,
        cell: str,
        units: Any,
        input_size: int,
        engine: str,
        batch_first: bool,
        seed: int | None,
        dtype: Any,
        **options: Any,
    ) -> None:
        spec = checks.cell_spec(cell=cell, input_size=input_size, units=units, **options)
        values = initial_parameters(spec, seed=seed_or_drawn(seed))
        super().__init__(values, dtype=dtype)
        self.spec: CellSpec = spec
        self.stacked = isinstance(units, (tuple, list))
        self.engine = checks.check_engine(engine)
        self.batch_first = batch_first

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"input_size={self.spec.input_size}, units={self.spec.units}, engine={self.engine!r}"

    def forward(
        self,
        inputs: Tensor,
        state: Any = None,
        *,
        updates: Tensor | None = None,
        gate_noise: Tensor | None = None,
    ) -> tuple[Outputs, Any]:
        """Runs the cell over whole sequences.

        Args:
            inputs: `[batch, time, input_size]`.
            state: as this method returns it; None starts from the layer's own initial state.
            updates: `[batch, time]` in {0, 1}, a random skip's gate; plain cells alone.
            gate_noise: `[batch, time]`, U(0, 1); `gate="bernoulli"` alone.

        Returns:
            `Outputs(h, state_gate)`, `[batch, time, units]` and `[batch, time, 1]`, and the final state.
        """
        if not self.batch_first:
            inputs, updates, gate_noise = (_swap_batch_and_time(value) for value in (inputs, updates, gate_noise))
        parameters = self.parameters_by_name()
        call = checked_call(
            self.spec,
            parameters,
            inputs,
            state,
            stacked=self.stacked,
            time=True,
            updates=updates,
            gate_noise=gate_noise,
        )
        h, gates, flat = unroll(
            self.spec,
            parameters,
            call.inputs,
            call.state,
            updates=call.updates,
            gate_noise=call.gate_noise,
            engine=self.engine,
        )
        if not self.batch_first:
            h, gates = _swap_batch_and_time(h), _swap_batch_and_time(gates)
        return Outputs(h, gates), states.pack_state(self.spec, flat, stacked=self.stacked)


def _swap_batch_and_time(value: Any) -> Any:
    """The first two axes exchanged; what has none is left to the checks of the call."""
    return value.transpose(0, 1) if isinstance(value, Tensor) and value.dim() > 1 else value


class LSTM(Layer):
    """Plain LSTM layers over a sequence.

    Arguments and calls: see `Layer`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        initial_state: str = "learned",
        engine: str = DEFAULT_ENGINE,
        batch_first: bool = True,
        seed: int | None = None,
        dtype: str | torch.dtype = "float32",
    ) -> None:
        super().__init__(
            cell="lstm",
            units=units,
            input_size=input_size,
            activation=activation,
            forget_bias=forget_bias,
            layer_norm=layer_norm,
            initial_state=initial_state,
            engine=engine,
            batch_first=batch_first,
            seed=seed,
            dtype=dtype,
        )


class GRU(Layer):
    """Plain GRU layers over a sequence; the reset gate acts before the product.

    Arguments and calls: see `Layer`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        initial_state: str = "learned",
        engine: str = DEFAULT_ENGINE,
        batch_first: bool = True,
        seed: int | None = None,
        dtype: str | torch.dtype = "float32",
    ) -> None:
        super().__init__(
            cell="gru",
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            initial_state=initial_state,
            engine=engine,
            batch_first=batch_first,
            seed=seed,
            dtype=dtype,
        )


class SkipLSTM(Layer):
    """LSTM layers that learn to skip state updates.

    Arguments and calls: see `Layer`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        update_bias: float = 1.0,
        initial_state: str = "learned",
        gate: str = "round",
        gate_layer: int = -1,
        engine: str = DEFAULT_ENGINE,
        batch_first: bool = True,
        seed: int | None = None,
        dtype: str | torch.dtype = "float32",
    ) -> None:
        super().__init__(
            cell="skip_lstm",
            units=units,
            input_size=input_size,
            activation=activation,
            forget_bias=forget_bias,
            layer_norm=layer_norm,
            update_bias=update_bias,
            initial_state=initial_state,
            gate=gate,
            gate_layer=gate_layer,
            engine=engine,
            batch_first=batch_first,
            seed=seed,
            dtype=dtype,
        )


class SkipGRU(Layer):
    """GRU layers that learn to skip state updates.

    Arguments and calls: see `Layer`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        update_bias: float = 1.0,
        initial_state: str = "learned",
        gate: str = "round",
        gate_layer: int = -1,
        engine: str = DEFAULT_ENGINE,
        batch_first: bool = True,
        seed: int | None = None,
        dtype: str | torch.dtype = "float32",
    ) -> None:
        super().__init__(
            cell="skip_gru",
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            update_bias=update_bias,
            initial_state=initial_state,
            gate=gate,
            gate_layer=gate_layer,
            engine=engine,
            batch_first=batch_first,
            seed=seed,
            dtype=dtype,
        )
