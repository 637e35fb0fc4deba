"""The public cells: parameters, state structure and checks around `equations.stack_step`."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from impls import checks, states
from impls.contract import CellSpec
from impls.options import Described, OneLayer, Stack
from impls.parameters import initial_parameters
from impls.pytorch import options
from impls.pytorch.calls import checked_call
from impls.pytorch.equations import initial_state as initial_flat_state
from impls.pytorch.equations import stack_step
from impls.pytorch.hooks import NestedOutputs
from impls.pytorch.named_parameters import NamedParameters, seed_or_drawn
from impls.pytorch.precision import own_precision
from impls.pytorch.random_skip import without_gradient
from impls.states import Outputs


class Cell(Described, NestedOutputs, NamedParameters):
    """What all eight cells share.

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
        spec = checks.cell_spec(cell=self._cell, units=units, stacked=self.stacked, **given)
        super().__init__(initial_parameters(spec, seed=seed_or_drawn(seed)), dtype=dtype)
        self.spec: CellSpec = spec

    @property
    def output_size(self) -> Outputs:
        """Widths of the outputs."""
        return Outputs(self.spec.units[-1], 1)

    @property
    def state_size(self) -> Any:
        """Widths of the state, in its structure."""
        return states.pack_state(self.spec, states.state_shapes(self.spec), stacked=self.stacked)

    def trainable_initial_state(self, batch_size: int) -> Any:
        """The cell's own initial state for a batch: learned rows (or zeros), Δũ = 1, stored ũ = 0."""
        parameters = self.parameters_by_name()
        like = next(iter(parameters.values()))
        flat = initial_flat_state(self.spec, parameters, batch=batch_size, like=like)
        own = tuple(tuple(leaf.clone() for leaf in layer) for layer in flat.layers)  # not views of the learned rows
        return states.pack_state(self.spec, flat._replace(layers=own), stacked=self.stacked)

    def forward(
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
        with own_precision(call.inputs):
            u, flat = stack_step(
                self.spec, parameters, call.inputs, call.state, updates=updates, gate_noise=call.gate_noise
            )
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
