"""The public layers: a cell over whole sequences, by either engine, with the manners of `keras.layers.LSTM`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Unpack

import keras
import tensorflow as tf
from tensorflow import Tensor

from impls import checks, states
from impls.contract import Array, CellSpec, Parameters
from impls.errors import CellError
from impls.options import Described, OneLayerOrMore
from impls.parameters import cell_shapes, initial_value
from impls.states import FlatState, Outputs
from impls.tensorflow import options
from impls.tensorflow.calls import checked_call
from impls.tensorflow.engines import unroll
from impls.tensorflow.masks import lengths_of
from impls.tensorflow.named_parameters import seed_or_drawn, values_for
from impls.tensorflow.skip_gate import gate_dtype

_CELL_OPTIONS = {field.name for field in fields(CellSpec)} - {"cell", "units"}


class Layer(Described, keras.layers.Layer):  # type: ignore[misc]
    """What all four layers share.

    A public class names its cell and its options; `options.py` tells these.
    """

    built: bool

    def __init__(self, units: Any, **options: Any) -> None:
        given = self._complete(options)
        of_cell = {name: given.pop(name) for name in _CELL_OPTIONS.intersection(given)}
        engine, seed = given.pop("engine"), given.pop("seed")
        for name in ("return_sequences", "return_state", "trainable", "autocast"):
            if name != "return_sequences" or given[name] is not None:
                given[name] = checks.check_flag(name, given[name])
        return_sequences, return_state = given.pop("return_sequences"), given.pop("return_state")
        spec = checks.cell_spec(cell=self._cell, units=units, sized=False, **of_cell)
        super().__init__(**given)
        self.spec: CellSpec = spec
        self.stacked = isinstance(units, (tuple, list))
        self.engine = checks.check_engine(engine)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.seed = seed
        if spec.input_size:
            self._add_parameters()  # Keras would take no more state from a subclass's constructor after `build`

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the parameters for inputs `[batch, time, features]`, where `input_size` has not done so."""
        if self.spec.input_size == 0:
            self.spec = replace(self.spec, input_size=checks.known_features(input_shape, time=True))
            self._add_parameters()
        self.built = True

    def _add_parameters(self) -> None:
        seed = seed_or_drawn(self.seed)
        for name, shape in cell_shapes(self.spec).items():
            value = initial_value(self.spec, name, shape, seed=seed)
            weight = self.add_weight(
                name=_attribute(name),
                shape=shape,
                initializer=lambda shape, dtype=None, value=value: tf.cast(value, dtype),
            )
            setattr(self, _attribute(name), weight)  # a checkpoint keeps what is an attribute, and nothing else

    def parameters_by_name(self) -> dict[str, keras.Variable]:
        """The parameters themselves, in canonical order."""
        known = self.spec.input_size > 0
        return {name: getattr(self, _attribute(name)) for name in cell_shapes(self.spec)} if known else {}

    def export_parameters(self) -> Parameters:
        """A NumPy copy of every parameter under its canonical name; `CellError` before there are any."""
        return {name: value.numpy() for name, value in self._built_parameters().items()}

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replaces every parameter. Raises `ParameterError` where names or shapes differ, `CellError` before any."""
        mine = self._built_parameters()
        given = values_for(mine, parameters, where=type(self).__name__)
        for name, value in mine.items():
            value.assign(given[name])

    def _built_parameters(self) -> dict[str, keras.Variable]:
        if self.spec.input_size == 0:
            raise CellError(checks.unbuilt(type(self).__name__))
        return self.parameters_by_name()

    @property
    def input_dtype(self) -> Any:
        """The type that Keras converts all arguments to: float32 at least, since gates may hang on their last digit."""
        return gate_dtype(tf.as_dtype(self.compute_dtype)).name

    def call(
        self,
        inputs: Tensor,
        state: Any = None,
        *,
        updates: Tensor | None = None,
        gate_noise: Tensor | None = None,
        lengths: Tensor | None = None,
        initial_state: Any = None,
        mask: Tensor | None = None,
        inputs_mask: Tensor | None = None,
    ) -> Any:
        """Runs the cell over whole sequences.

        Args:
            inputs: `[batch, time, input_size]`.
            state: as this method returns it; None starts from the layer's own initial state.
            updates: `[batch, time]` in {0, 1}, a random skip's gate; plain cells alone.
            gate_noise: `[batch, time]`, U(0, 1), for `gate="bernoulli"`; None draws it from the framework's generator.
            lengths: `[batch]` whole numbers from 0 to time. What stands beyond a sequence's length is not read; the
                gate there is 0, and the state and h those of its last step. None where all have every step.
            initial_state: Keras's name for `state`.
            mask, inputs_mask: Keras's form of `lengths`, given or attached to the inputs by a layer below:
                `[batch, time]`, true at the steps of a sequence and false after its end.

        Returns:
            `Outputs(h, state_gate)`, `[batch, time, units]` and `[batch, time, 1]`, and the final state; with
            `return_sequences` or `return_state` given, what `keras.layers.LSTM` returns.
        """
        mask = inputs_mask if mask is None else mask
        if mask is not None:
            if lengths is not None:
                raise CellError("lengths and mask are one thing: give one of them")
            lengths = lengths_of(mask, inputs=inputs)
        if initial_state is not None:
            if state is not None:
                raise CellError("state and initial_state are one thing: give one of them")
            state = initial_state
        if self.autocast and self.input_dtype != self.compute_dtype:
            inputs, state = tf.cast(inputs, self.compute_dtype), self._in_compute_type(state)
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
            lengths=lengths,
        )
        as_ours = self._returns_outputs_and_state
        unrolled = unroll(
            self.spec,
            parameters,
            call.inputs,
            call.state,
            updates=call.updates,
            gate_noise=call.gate_noise,
            lengths=call.lengths,
            every_step=as_ours or bool(self.return_sequences),
            engine=self.engine,
        )
        h, gates, flat = call.answered(unrolled)
        if as_ours:
            return Outputs(h, gates), states.pack_state(self.spec, flat, stacked=self.stacked)
        output = h if self.return_sequences else h[:, 0]
        return [output, *tf.nest.flatten(flat)] if self.return_state else output

    def _in_compute_type(self, state: Any) -> Any:
        """The state with all but the gate's two scalars in the type of the arithmetic."""
        if state is None:
            return None
        flat = states.unpack_state(self.spec, state, stacked=self.stacked)
        layers = tf.nest.map_structure(lambda leaf: tf.cast(leaf, self.compute_dtype), flat.layers)
        return states.pack_state(self.spec, flat._replace(layers=layers), stacked=self.stacked)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of each output that has every step, in their order: h, and the gates where they are returned."""
        if self._returns_outputs_and_state:
            return [previous_mask, previous_mask]
        return previous_mask if self.return_sequences else None

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        """The shapes of what a call returns, in its structure, for inputs `[batch, time, features]`."""
        checks.known_features(input_shape, time=True)
        batch, steps, _ = input_shape
        sizes = states.state_shapes(self.spec)
        flat = FlatState(
            tuple(tuple((batch, size) for size in layer) for layer in sizes.layers),
            tuple((batch, size) for size in sizes.gate),
        )
        units = self.spec.units[-1]
        if self._returns_outputs_and_state:
            state = states.pack_state(self.spec, flat, stacked=self.stacked)
            return Outputs((batch, steps, units), (batch, steps, 1)), state
        output = (batch, steps, units) if self.return_sequences else (batch, units)
        leaves = [leaf for part in (*flat.layers, flat.gate) for leaf in part]
        return [output, *leaves] if self.return_state else output

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes and types as a call comes to them: Keras would give all of them one type where it knows the shapes."""
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    @property
    def _returns_outputs_and_state(self) -> bool:
        return self.return_sequences is None and not self.return_state

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, for saving."""
        spec, config = self.spec, dict(super().get_config())
        config.update({name: getattr(spec, name) for name in _CELL_OPTIONS.intersection(self._options)})
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
class LSTM(Layer, cell="lstm"):
    """Plain LSTM layers over a sequence."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.LSTMOptions]) -> None:
        super().__init__(units, **options)


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class GRU(Layer, cell="gru"):
    """Plain GRU layers over a sequence; the reset gate acts before the product."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.LayerOptions]) -> None:
        super().__init__(units, **options)


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class SkipLSTM(Layer, cell="skip_lstm"):
    """LSTM layers that learn to skip state updates."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.SkipLSTMOptions]) -> None:
        super().__init__(units, **options)


@keras.saving.register_keras_serializable(package="skiprnn_bench")
class SkipGRU(Layer, cell="skip_gru"):
    """GRU layers that learn to skip state updates."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.SkipOptions]) -> None:
        super().__init__(units, **options)
