"""The public cells: parameters, state structure and checks around `equations.stack_step`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

from impls import checks, states
from impls.contract import CellSpec
from impls.parameters import cell_shapes, initial_value
from impls.states import Outputs
from impls.tensorflow.calls import checked_call
from impls.tensorflow.equations import initial_state as initial_flat_state
from impls.tensorflow.equations import stack_step
from impls.tensorflow.named_parameters import NamedParameters, as_dtype, seed_or_drawn


class Cell(NamedParameters):
    """What all eight cells share.

    Runs under `tf.compat.v1.nn.dynamic_rnn` in graph mode, and step by step anywhere.

    Args:
        units: units of the layer, or of each layer of a stack from the bottom up; a number is a stack of one.
        input_size: features of one time step; None takes it from the first call.
        activation: `tanh`, `relu`, `sigmoid` or `identity`, or a function of one of these names.
        forget_bias: added to the LSTM's forget gate inside the sigmoid.
        layer_norm: normalise each gate's pre-activation on its own.
        update_bias: initial bias of the skip gate; 1 starts with nearly all updates.
        initial_state: `learned`, one row a layer shared by the batch, drawn from N(0, 1), or `zeros`.
        gate: `round` (eq. 2) or `bernoulli`, which reads `gate_noise`.
        gate_layer: the layer whose candidate state feeds the gate; -1 is the top.
        seed: seed of the initial values, the same in both frameworks; None draws one from Python's
            generator.
        dtype: floating type of the parameters.

    Raises `CellError` for anything that a cell cannot be built from.
    """

    def __init__(
        self,
        *,
        cell: str,
        stacked: bool,
        units: Any,
        input_size: int | None,
        seed: int | None,
        dtype: Any,
        **options: Any,
    ) -> None:
        unsized = input_size is None
        spec = checks.cell_spec(
            cell=cell, input_size=1 if input_size is None else input_size, units=units, stacked=stacked, **options
        )
        super().__init__({}, dtype=dtype)
        self.spec: CellSpec = replace(spec, input_size=0) if unsized else spec
        self.stacked = stacked
        self.dtype = as_dtype(dtype)
        self._seed = seed_or_drawn(seed)
        self._add_missing(only_initial_state=unsized)

    def _add_missing(self, *, only_initial_state: bool = False) -> None:
        shapes = cell_shapes(self.spec)
        values = {
            name: initial_value(self.spec, name, shape, seed=self._seed)
            for name, shape in shapes.items()
            if name not in self.values and (".initial_" in name or not only_initial_state)
        }
        self.add_parameters(values, dtype=self.dtype)

    @property
    def built(self) -> bool:
        """Whether the size of the inputs is known and every parameter exists."""
        return self.spec.input_size > 0

    def build(self, input_shape: Sequence[int | None] | tf.TensorShape) -> None:
        """Creates the parameters for inputs of this shape, `[…, features]`."""
        self.spec = replace(self.spec, input_size=checks.known_features(input_shape, time=False))
        self._add_missing()

    def parameters_by_name(self) -> dict[str, tf.Variable]:
        """The parameters themselves, in canonical order."""
        return {name: self.values[name] for name in cell_shapes(self.spec) if name in self.values}

    @property
    def output_size(self) -> Outputs:
        """Widths of the outputs."""
        return Outputs(self.spec.units[-1], 1)

    @property
    def state_size(self) -> Any:
        """Widths of the state, in its structure."""
        return states.pack_state(self.spec, states.state_shapes(self.spec), stacked=self.stacked)

    def trainable_initial_state(self, batch_size: int | Tensor) -> Any:
        """The cell's own initial state for a batch: learned rows (or zeros), Δũ = 1, stored ũ = 0."""
        like = tf.zeros([], self.dtype)
        flat = initial_flat_state(self.spec, self.values, batch=batch_size, like=like)
        return states.pack_state(self.spec, flat, stacked=self.stacked)

    def get_initial_state(
        self, inputs: Tensor | None = None, batch_size: int | Tensor | None = None, dtype: Any = None
    ) -> Any:
        """`trainable_initial_state` under the name that `dynamic_rnn` calls where it is given no state."""
        if batch_size is None:
            batch_size = tf.shape(inputs)[0]
        return self.trainable_initial_state(batch_size)

    def __call__(
        self,
        inputs: Tensor,
        state: Any = None,
        *,
        updates: Tensor | None = None,
        gate_noise: Tensor | None = None,
    ) -> tuple[Outputs, Any]:
        """One time step.

        Args:
            inputs: `[batch, input_size]`.
            state: as this method returns it; None starts from the cell's own initial state.
            updates: `[batch, 1]` in {0, 1}, a random skip's gate; plain cells alone.
            gate_noise: `[batch, 1]`, U(0, 1); `gate="bernoulli"` alone.

        Returns:
            `Outputs(h, state_gate)` and the new state.
        """
        if not self.built:
            self.build(tf.convert_to_tensor(inputs).shape)
        parameters = self.parameters_by_name()
        call = checked_call(
            self.spec,
            parameters,
            inputs,
            state,
            stacked=self.stacked,
            time=False,
            updates=updates,
            gate_noise=gate_noise,
        )
        u, flat = stack_step(
            self.spec, parameters, call.inputs, call.state, updates=call.updates, gate_noise=call.gate_noise
        )
        return Outputs(flat.layers[-1][-1], u), states.pack_state(self.spec, flat, stacked=self.stacked)


class LSTMCell(Cell):
    """A plain LSTM cell, with the authors' equations.

    Its state is `LSTMState(c, h)`. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int,
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        initial_state: str = "learned",
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="lstm",
            stacked=False,
            units=units,
            input_size=input_size,
            activation=activation,
            forget_bias=forget_bias,
            layer_norm=layer_norm,
            initial_state=initial_state,
            seed=seed,
            dtype=dtype,
        )


class GRUCell(Cell):
    """A plain GRU cell, with the authors' equations: the reset gate acts before the product.

    Its state is `h` alone. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int,
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        initial_state: str = "learned",
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="gru",
            stacked=False,
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            initial_state=initial_state,
            seed=seed,
            dtype=dtype,
        )


class MultiLSTMCell(Cell):
    """A stack of plain LSTM layers.

    Its state is a tuple of `LSTMState(c, h)`, one a layer. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        initial_state: str = "learned",
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="lstm",
            stacked=True,
            units=units,
            input_size=input_size,
            activation=activation,
            forget_bias=forget_bias,
            layer_norm=layer_norm,
            initial_state=initial_state,
            seed=seed,
            dtype=dtype,
        )


class MultiGRUCell(Cell):
    """A stack of plain GRU layers.

    Its state is a tuple of `h`, one a layer. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        initial_state: str = "learned",
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="gru",
            stacked=True,
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            initial_state=initial_state,
            seed=seed,
            dtype=dtype,
        )


class SkipLSTMCell(Cell):
    """An LSTM cell that learns to skip state updates.

    Its state is `SkipLSTMState(c, h, update_prob, cum_update_prob)`. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int,
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        update_bias: float = 1.0,
        initial_state: str = "learned",
        gate: str = "round",
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="skip_lstm",
            stacked=False,
            units=units,
            input_size=input_size,
            activation=activation,
            forget_bias=forget_bias,
            layer_norm=layer_norm,
            update_bias=update_bias,
            initial_state=initial_state,
            gate=gate,
            seed=seed,
            dtype=dtype,
        )


class SkipGRUCell(Cell):
    """A GRU cell that learns to skip state updates.

    Its state is `SkipGRUState(h, update_prob, cum_update_prob)`. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int,
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        update_bias: float = 1.0,
        initial_state: str = "learned",
        gate: str = "round",
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="skip_gru",
            stacked=False,
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            update_bias=update_bias,
            initial_state=initial_state,
            gate=gate,
            seed=seed,
            dtype=dtype,
        )


class MultiSkipLSTMCell(Cell):
    """A stack of LSTM layers that update or skip together, by one gate.

    Its state is a tuple with one entry a layer: `LSTMState(c, h)`, the top one `SkipLSTMState`. Arguments and
    calls: see `Cell`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        update_bias: float = 1.0,
        initial_state: str = "learned",
        gate: str = "round",
        gate_layer: int = -1,
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="skip_lstm",
            stacked=True,
            units=units,
            input_size=input_size,
            activation=activation,
            forget_bias=forget_bias,
            layer_norm=layer_norm,
            update_bias=update_bias,
            initial_state=initial_state,
            gate=gate,
            gate_layer=gate_layer,
            seed=seed,
            dtype=dtype,
        )


class MultiSkipGRUCell(Cell):
    """A stack of GRU layers that update or skip together, by one gate.

    Its state is a tuple with one entry a layer: `h`, the top one `SkipGRUState`. Arguments and calls: see `Cell`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        update_bias: float = 1.0,
        initial_state: str = "learned",
        gate: str = "round",
        gate_layer: int = -1,
        seed: int | None = None,
        dtype: str | tf.DType = "float32",
    ) -> None:
        super().__init__(
            cell="skip_gru",
            stacked=True,
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            update_bias=update_bias,
            initial_state=initial_state,
            gate=gate,
            gate_layer=gate_layer,
            seed=seed,
            dtype=dtype,
        )
