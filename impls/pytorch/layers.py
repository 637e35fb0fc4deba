"""The public layers: a cell over whole sequences, by either engine, with the manners of `torch.nn.LSTM`."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from impls import checks, states
from impls.contract import CellSpec
from impls.errors import CellError
from impls.options import Described, OneLayerOrMore
from impls.parameters import initial_parameters
from impls.pytorch import options
from impls.pytorch.calls import checked_call
from impls.pytorch.engines import unroll
from impls.pytorch.hooks import NestedOutputs
from impls.pytorch.named_parameters import NamedParameters, seed_or_drawn
from impls.pytorch.packed_sequences import packed_like, padded
from impls.states import Outputs


class Layer(Described, NestedOutputs, NamedParameters):
    """What all four layers share.

    A public class names its cell and its options; `options.py` tells these.
    """

    def __init__(self, units: Any, **options: Any) -> None:
        given = self._complete(options)
        seed, dtype, engine = given.pop("seed"), given.pop("dtype"), given.pop("engine")
        batch_first, every_step = (checks.check_flag(name, given.pop(name)) for name in ("batch_first", "every_step"))
        spec = checks.cell_spec(cell=self._cell, units=units, **given)
        super().__init__(initial_parameters(spec, seed=seed_or_drawn(seed)), dtype=dtype)
        self.spec: CellSpec = spec
        self.stacked = isinstance(units, (tuple, list))
        self.engine = checks.check_engine(engine)
        self.batch_first = batch_first
        self.every_step = every_step

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"input_size={self.spec.input_size}, units={self.spec.units}, engine={self.engine!r}"

    def forward(
        self,
        inputs: Tensor | PackedSequence,
        state: Any = None,
        *,
        updates: Tensor | None = None,
        gate_noise: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Outputs, Any]:
        """Runs the cell over whole sequences.

        Args:
            inputs: `[batch, time, input_size]`, or a `PackedSequence` of sequences of different lengths.
            state: as this method returns it; None starts from the layer's own initial state.
            updates: `[batch, time]` in {0, 1}, a random skip's gate; plain cells alone.
            gate_noise: `[batch, time]`, U(0, 1), for `gate="bernoulli"`; None draws it from the framework's generator.
            lengths: `[batch]` whole numbers from 0 to time. What stands beyond a sequence's length is not read; the
                gate there is 0, and the state and h those of its last step. None where all have every step.

        Returns:
            `Outputs(h, state_gate)`, `[batch, time, units]` and `[batch, time, 1]`, and the final state. With
            `every_step=False`, h is `[batch, units]`, of the last step. Both are packed as the inputs are, except
            the last step's h; the state is in the order that the sequences had before they were sorted.
        """
        packed = inputs if isinstance(inputs, PackedSequence) else None
        if not self.batch_first:
            inputs, updates, gate_noise = (_swap_batch_and_time(value) for value in (inputs, updates, gate_noise))
        if packed is not None:
            if lengths is not None:
                raise CellError("lengths: a PackedSequence has its own; leave them out")
            inputs, lengths = padded(packed)
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
            lengths=lengths,
        )
        h, gates, flat = unroll(
            self.spec,
            parameters,
            call.inputs,
            call.state,
            updates=call.updates,
            gate_noise=call.gate_noise,
            lengths=call.lengths,
            every_step=self.every_step,
            engine=self.engine,
        )
        h = self._as_given(h, packed, lengths) if self.every_step else h[:, 0]
        outputs = Outputs(h, self._as_given(gates, packed, lengths))
        return outputs, states.pack_state(self.spec, flat, stacked=self.stacked)

    def _as_given(self, value: Tensor, packed: PackedSequence | None, lengths: Any) -> Any:
        """`[batch, time, …]` in the form that the inputs had."""
        if packed is not None:
            return packed_like(packed, value, lengths=lengths)
        return value if self.batch_first else _swap_batch_and_time(value)


def _swap_batch_and_time(value: Any) -> Any:
    """The first two axes exchanged; what has none is left to the checks of the call."""
    return value.transpose(0, 1) if isinstance(value, Tensor) and value.dim() > 1 else value


class LSTM(Layer, cell="lstm"):
    """Plain LSTM layers over a sequence."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.LSTMOptions]) -> None:
        super().__init__(units, **options)


class GRU(Layer, cell="gru"):
    """Plain GRU layers over a sequence; the reset gate acts before the product."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.LayerOptions]) -> None:
        super().__init__(units, **options)


class SkipLSTM(Layer, cell="skip_lstm"):
    """LSTM layers that learn to skip state updates."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.SkipLSTMOptions]) -> None:
        super().__init__(units, **options)


class SkipGRU(Layer, cell="skip_gru"):
    """GRU layers that learn to skip state updates."""

    def __init__(self, units: OneLayerOrMore, **options: Unpack[options.SkipOptions]) -> None:
        super().__init__(units, **options)
