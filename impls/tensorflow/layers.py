"""The public layers: a cell over whole sequences, by either engine, with the manners of `keras.layers.LSTM`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from impls import checks, states
from impls.contract import DEFAULT_ENGINE, Array, CellSpec, Parameters
from impls.errors import CellError
from impls.kinds import KINDS
from impls.parameters import cell_shapes, check_parameters, initial_value
from impls.states import Outputs
from impls.tensorflow.calls import checked_call
from impls.tensorflow.engines import unroll
from impls.tensorflow.named_parameters import seed_or_drawn

_CELL_OPTIONS = tuple(field.name for field in fields(CellSpec) if field.name not in ("cell", "input_size", "units"))


class Layer(keras.layers.Layer):  # type: ignore[misc]
    """What all four layers share.

    Args:
        units: units of one layer (an int), or of each layer of a stack from the bottom up (a sequence); the
            state's structure follows: that of the single cell, or of the `Multi…` cell.
        input_size: features of one time step; None takes it from the first call.
        activation: `tanh`, `relu`, `sigmoid` or `identity`, or a function of one of these names.
        forget_bias: added to the LSTM's forget gate inside the sigmoid.
        layer_norm: normalise each gate's pre-activation on its own.
        update_bias: initial bias of the skip gate; 1 starts with nearly all updates.
        initial_state: `learned`, one row a layer shared by the batch, drawn from N(0, 1), or `zeros`.
        gate: `round` (eq. 2) or `bernoulli`, which reads `gate_noise`.
        gate_layer: the layer whose candidate state feeds the gate; -1 is the top.
        engine: how the time loop runs; the results are the same.
        return_sequences: True or False returns what `keras.layers.LSTM` does: h at every step or at the last.
            None, the default, returns `outputs, state`.
        return_state: with it, Keras's list of outputs and state tensors.
        seed: seed of the initial values, the same in both frameworks; None draws one from Python's
            generator.
        dtype: floating type of the parameters.

    Raises `CellError` for anything that a layer cannot be built from. A mask is refused, not ignored.
    """

    def __init__(
        self,
        *,
        cell: str,
        units: Any,
        input_size: int | None,
        engine: str,
        return_sequences: bool | None,
        return_state: bool,
        seed: int | None,
        dtype: Any,
        **options: Any,
    ) -> None:
        of_cell = {name: options.pop(name) for name in _CELL_OPTIONS if name in options}  # the rest is Keras's
        unsized = input_size is None
        spec = checks.cell_spec(
            cell=cell,
            input_size=1 if input_size is None else input_size,
            units=units,
            **of_cell,
        )
        super().__init__(dtype=dtype, **options)
        self.spec: CellSpec = replace(spec, input_size=0) if unsized else spec
        self.stacked = isinstance(units, (tuple, list))
        self.engine = checks.check_engine(engine)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.seed = seed
        if not unsized:
            self.build((None, None, input_size))

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the parameters for inputs `[batch, time, features]`."""
        if self.built:
            return
        if self.spec.input_size == 0:
            self.spec = replace(self.spec, input_size=checks.known_features(input_shape, time=True))
        seed = seed_or_drawn(self.seed)
        for name, shape in cell_shapes(self.spec).items():
            value = initial_value(self.spec, name, shape, seed=seed)
            weight = self.add_weight(
                name=_attribute(name),
                shape=shape,
                initializer=lambda shape, dtype=None, value=value: tf.cast(value, dtype),
            )
            setattr(self, _attribute(name), weight)  # a checkpoint keeps what is an attribute, and nothing else
        self.built = True

    def parameters_by_name(self) -> dict[str, keras.Variable]:
        """The parameters themselves, in canonical order."""
        return {name: getattr(self, _attribute(name)) for name in cell_shapes(self.spec)} if self.built else {}

    def export_parameters(self) -> Parameters:
        """A NumPy copy of every parameter under its canonical name."""
        return {name: value.numpy() for name, value in self.parameters_by_name().items()}

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ."""
        mine = self.parameters_by_name()
        shapes = {name: tuple(value.shape) for name, value in mine.items()}
        check_parameters(parameters, shapes, where=type(self).__name__)
        for name, value in mine.items():
            value.assign(parameters[name])

    def call(
        self,
        inputs: Tensor,
        state: Any = None,
        *,
        updates: Tensor | None = None,
        gate_noise: Tensor | None = None,
        initial_state: Any = None,
        mask: Tensor | None = None,
        inputs_mask: Tensor | None = None,
    ) -> Any:
        """Runs the cell over whole sequences.

        Args:
            inputs: `[batch, time, input_size]`.
            state: as this method returns it; None starts from the layer's own initial state.
            updates: `[batch, time]` in {0, 1}, a random skip's gate; plain cells alone.
            gate_noise: `[batch, time]`, U(0, 1); `gate="bernoulli"` alone.
            initial_state: Keras's name for `state`.
            mask, inputs_mask: refused with a `CellError`, whether given or attached to the inputs by a layer
                below: pad at the end and read h where a sequence ends.

        Returns:
            `Outputs(h, state_gate)`, `[batch, time, units]` and `[batch, time, 1]`, and the final state; with
            `return_sequences` or `return_state` given, what `keras.layers.LSTM` returns.
        """
        if mask is not None or inputs_mask is not None:
            raise CellError(
                f"{type(self).__name__} does not take a mask: pad at the end, and read h where a sequence ends"
            )
        if initial_state is not None:
            if state is not None:
                raise CellError("state and initial_state are one thing: give one of them")
            state = initial_state
        parameters = {name: tf.convert_to_tensor(value) for name, value in self.parameters_by_name().items()}
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
        if self.return_sequences is None and not self.return_state:
            return Outputs(h, gates), states.pack_state(self.spec, flat, stacked=self.stacked)
        output = h if self.return_sequences else h[:, -1]
        return [output, *tf.nest.flatten(flat)] if self.return_state else output

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, for saving."""
        spec, config = self.spec, dict(super().get_config())
        config.update({name: getattr(spec, name) for name in _CELL_OPTIONS})
        for kind in KINDS.values():
            for option in set(kind.options) - set(spec.kind.options):
                del config[option]
        if not spec.skips:
            del config["update_bias"], config["gate"], config["gate_layer"]
        config.update(
            units=list(spec.units) if self.stacked else spec.units[0],
            input_size=spec.input_size or None,
            engine=self.engine,
            return_sequences=self.return_sequences,
            return_state=self.return_state,
            seed=self.seed,
        )
        return config


def _attribute(name: str) -> str:
    """The attribute that a parameter is kept under, from its canonical name."""
    return name.replace(".", "_")


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class LSTM(Layer):
    """Plain LSTM layers over a sequence.

    Arguments and calls: see `Layer`.
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
        engine: str = DEFAULT_ENGINE,
        return_sequences: bool | None = None,
        return_state: bool = False,
        seed: int | None = None,
        dtype: str | None = None,
        **kwargs: Any,
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
            return_sequences=return_sequences,
            return_state=return_state,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class GRU(Layer):
    """Plain GRU layers over a sequence; the reset gate acts before the product.

    Arguments and calls: see `Layer`.
    """

    def __init__(
        self,
        units: int | Sequence[int],
        *,
        input_size: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        layer_norm: bool = False,
        initial_state: str = "learned",
        engine: str = DEFAULT_ENGINE,
        return_sequences: bool | None = None,
        return_state: bool = False,
        seed: int | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            cell="gru",
            units=units,
            input_size=input_size,
            activation=activation,
            layer_norm=layer_norm,
            initial_state=initial_state,
            engine=engine,
            return_sequences=return_sequences,
            return_state=return_state,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class SkipLSTM(Layer):
    """LSTM layers that learn to skip state updates.

    Arguments and calls: see `Layer`.
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
        engine: str = DEFAULT_ENGINE,
        return_sequences: bool | None = None,
        return_state: bool = False,
        seed: int | None = None,
        dtype: str | None = None,
        **kwargs: Any,
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
            return_sequences=return_sequences,
            return_state=return_state,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class SkipGRU(Layer):
    """GRU layers that learn to skip state updates.

    Arguments and calls: see `Layer`.
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
        engine: str = DEFAULT_ENGINE,
        return_sequences: bool | None = None,
        return_state: bool = False,
        seed: int | None = None,
        dtype: str | None = None,
        **kwargs: Any,
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
            return_sequences=return_sequences,
            return_state=return_state,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )
