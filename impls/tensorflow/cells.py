"""The public cells: parameters, state structure and checks around `equations.stack_step`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import tensorflow as tf
from tensorflow import Tensor

from impls import checks, states
from impls.contract import Array, CellSpec, Parameters
from impls.errors import CellError
from impls.options import Described, OneLayer, Stack
from impls.parameters import cell_shapes, initial_value
from impls.states import Outputs
from impls.tensorflow import options
from impls.tensorflow.calls import checked_call
from impls.tensorflow.equations import initial_state as initial_flat_state
from impls.tensorflow.equations import stack_step
from impls.tensorflow.named_parameters import NamedParameters, as_dtype, seed_or_drawn
from impls.tensorflow.random_skip import without_gradient


class Cell(Described, NamedParameters):
    """What all eight cells share.

    Runs under `tf.compat.v1.nn.dynamic_rnn` in graph mode, and step by step anywhere.

    A public class names its cell and its options; `options.py` tells these.
    """

    stacked: bool

    def __init_subclass__(cls, *, stacked: bool = False, **others: Any) -> None:
        super().__init_subclass__(**others)
        if "cell" in others:
            cls.stacked = stacked

    def __init__(self, units: Any, **options: Any) -> None:
        given = self._complete(options)
        seed, dtype = given.pop("seed"), given.pop("dtype")
        self.spec: CellSpec = checks.cell_spec(cell=self._cell, units=units, stacked=self.stacked, sized=False, **given)
        super().__init__({}, dtype=dtype)
        self.dtype = as_dtype(dtype)
        self._seed = seed_or_drawn(seed)
        self._add_missing()

    def _add_missing(self) -> None:
        """Adds the parameters whose shape is known: without the size of the inputs, the initial state's."""
        shapes = cell_shapes(self.spec)
        values = {
            name: initial_value(self.spec, name, shape, seed=self._seed)
            for name, shape in shapes.items()
            if name not in self.values and (self.built or ".initial_" in name)
        }
        self.add_parameters(values, dtype=self.dtype)

    @property
    def built(self) -> bool:
        """Whether the size of the inputs is known and every parameter exists."""
        return self.spec.input_size > 0

    def build(self, input_shape: Sequence[int | None] | tf.TensorShape) -> None:
        """Creates the parameters for inputs of this shape, `[…, features]`; those that are there stay."""
        if self.built:
            return
        self.spec = replace(self.spec, input_size=checks.known_features(input_shape, time=False))
        self._add_missing()

    def export_parameters(self) -> Parameters:
        """As `NamedParameters` does; `CellError` before the cell knows its input size."""
        self._check_built()
        return super().export_parameters()

    def load_parameters(self, parameters: Mapping[str, Array]) -> None:
        """As `NamedParameters` does; `CellError` before the cell knows its input size."""
        self._check_built()
        super().load_parameters(parameters)

    def _check_built(self) -> None:
        if not self.built:
            raise CellError(checks.unbuilt(type(self).__name__))

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
            gate_noise: `[batch, 1]`, U(0, 1), for `gate="bernoulli"`; None draws it from the framework's generator.

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
        updates = None if call.updates is None else without_gradient(call.updates)
        u, flat = stack_step(
            self.spec, parameters, call.inputs, call.state, updates=updates, gate_noise=call.gate_noise
        )
        u, flat = call.answered((u, flat))
        return Outputs(flat.layers[-1][-1], u), states.pack_state(self.spec, flat, stacked=self.stacked)


class LSTMCell(Cell, cell="lstm"):
    """A plain LSTM cell, with the authors' equations. Its state is `LSTMState(c, h)`."""

    def __init__(self, units: OneLayer, **options: Unpack[options.LSTMCellOptions]) -> None:
        super().__init__(units, **options)


class GRUCell(Cell, cell="gru"):
    """A plain GRU cell: the reset gate acts before the product. Its state is `h` alone."""

    def __init__(self, units: OneLayer, **options: Unpack[options.CellOptions]) -> None:
        super().__init__(units, **options)


class MultiLSTMCell(Cell, cell="lstm", stacked=True):
    """A stack of plain LSTM layers. Its state is a tuple of `LSTMState(c, h)`, one a layer."""

    def __init__(self, units: Stack, **options: Unpack[options.LSTMCellOptions]) -> None:
        super().__init__(units, **options)


class MultiGRUCell(Cell, cell="gru", stacked=True):
    """A stack of plain GRU layers. Its state is a tuple of `h`, one a layer."""

    def __init__(self, units: Stack, **options: Unpack[options.CellOptions]) -> None:
        super().__init__(units, **options)


class SkipLSTMCell(Cell, cell="skip_lstm"):
    """An LSTM cell that learns to skip. Its state is `SkipLSTMState(c, h, update_prob, cum_update_prob)`."""

    def __init__(self, units: OneLayer, **options: Unpack[options.SkipLSTMCellOptions]) -> None:
        super().__init__(units, **options)


class SkipGRUCell(Cell, cell="skip_gru"):
    """A GRU cell that learns to skip. Its state is `SkipGRUState(h, update_prob, cum_update_prob)`."""

    def __init__(self, units: OneLayer, **options: Unpack[options.SkipCellOptions]) -> None:
        super().__init__(units, **options)


class MultiSkipLSTMCell(Cell, cell="skip_lstm", stacked=True):
    """LSTM layers that skip together, by one gate. Its state is a tuple of `LSTMState`, on top `SkipLSTMState`."""

    def __init__(self, units: Stack, **options: Unpack[options.SkipLSTMStackOptions]) -> None:
        super().__init__(units, **options)


class MultiSkipGRUCell(Cell, cell="skip_gru", stacked=True):
    """GRU layers that skip together, by one gate. Its state is a tuple of `h`, on top `SkipGRUState`."""

    def __init__(self, units: Stack, **options: Unpack[options.SkipStackOptions]) -> None:
        super().__init__(units, **options)
