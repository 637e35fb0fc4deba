"""The structures of outputs and states, and the way between them and the flat form that the time loop carries.

Framework-free: the leaves are tensors of whichever framework calls. The public structures are the authors': a
single cell's state is `LSTMState`, a bare `h`, `SkipLSTMState` or `SkipGRUState`; a stack's is a tuple with one
entry a layer, of which only the top one of a skip stack carries the gate's two scalars.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from impls.checks import dtype_name, known_sizes
from impls.contract import CellSpec
from impls.errors import CellError

Tensor = Any


class Outputs(NamedTuple):
    """What a cell or layer returns beside its state.

    Shapes, of a cell: h `[batch, units]`, state_gate `[batch, 1]`; of a layer: `[batch, time, units]` and
    `[batch, time, 1]`. The gate is 1 where the state was updated.
    """

    h: Tensor
    state_gate: Tensor


class FlatState(NamedTuple):
    """What the time loop carries, of any cell.

    `layers` holds `(c, h)` or `(h,)` for each layer; `gate` holds `(update_prob, cum_update_prob)`, or nothing
    for plain cells.
    """

    layers: tuple[tuple[Tensor, ...], ...]
    gate: tuple[Tensor, ...]


def pack_state(spec: CellSpec, flat: FlatState, *, stacked: bool) -> Any:
    """The public state of a cell from the flat one."""
    layers: list[Any] = [spec.kind.structure(*layer) for layer in flat.layers]
    if spec.skips:
        layers[-1] = spec.kind.skip_structure(*flat.layers[-1], *flat.gate)
    return tuple(layers) if stacked else layers[0]


def unpack_state(spec: CellSpec, state: Any, *, stacked: bool) -> FlatState:
    """The flat state from a cell's public one, as named tuples, plain tuples or lists, or one list of all leaves.

    Raises `CellError` where the structure is not the cell's.
    """
    wanted = describe_state(spec, stacked=stacked)
    layers = state if stacked else (state,)
    if not isinstance(layers, (tuple, list)):
        raise CellError(f"state: expected {wanted}, got {_describe(state)}")
    width = len(spec.kind.state)
    gated = 2 if spec.skips else 0
    nested = any(isinstance(part, (tuple, list)) for part in layers)
    if stacked and not nested and len(layers) == len(spec.units) * width + gated:
        below = len(layers) - width - gated  # a list of all leaves: group it by layer
        layers = [*(layers[first : first + width] for first in range(0, below, width)), layers[below:]]
    if len(layers) != len(spec.units):
        raise CellError(f"state: expected {wanted}, got {_describe(state)}")
    flat: list[tuple[Tensor, ...]] = []
    gate: tuple[Tensor, ...] = ()
    for number, layer in enumerate(layers):
        size = width + (gated if number == len(spec.units) - 1 else 0)
        parts = layer if isinstance(layer, (tuple, list)) else (layer,)
        if len(parts) != size or any(part is None or isinstance(part, (tuple, list, dict)) for part in parts):
            raise CellError(f"state: expected {wanted}, got {_describe(state)}")
        flat.append(tuple(parts[:width]))
        gate = tuple(parts[width:])
    return FlatState(layers=tuple(flat), gate=gate)


def describe_state(spec: CellSpec, *, stacked: bool) -> str:
    """The structure of a cell's state in words, for error messages."""

    def described(*names: str) -> str:
        return names[0] if len(names) == 1 else f"({', '.join(names)})"

    lower = described(*spec.kind.state)
    top = described(*spec.kind.state, "update_prob", "cum_update_prob") if spec.skips else lower
    if not stacked:
        return top
    return f"({', '.join([lower] * (len(spec.units) - 1) + [top])}{',' if len(spec.units) == 1 else ''})"


def state_shapes(spec: CellSpec) -> FlatState:
    """The flat state with widths (ints) for leaves: every leaf is `[batch, width]`."""
    width = len(spec.kind.state)
    return FlatState(layers=tuple((units,) * width for units in spec.units), gate=(1, 1) if spec.skips else ())


def check_state(spec: CellSpec, flat: FlatState, *, batch: int | None, dtype: str) -> None:
    """Raises `CellError` unless every leaf is `[batch, width]` of this dtype, the gate's scalars float32 at least.

    Sizes unknown while a graph is traced (None) are let through.
    """
    leaves = [
        (f"{name} of layer {number}", leaf, units, dtype)
        for number, (layer, units) in enumerate(zip(flat.layers, spec.units, strict=True))
        for name, leaf in zip(spec.kind.state, layer, strict=True)
    ]
    of_gate = "float32" if dtype in ("bfloat16", "float16") else dtype
    names = ("update_prob", "cum_update_prob")
    leaves += [(name, leaf, 1, of_gate) for name, leaf in zip(names, flat.gate, strict=False)]
    for name, leaf, width, needed in leaves:
        shape = known_sizes(leaf.shape)
        if len(shape) != 2 or shape[1] not in (width, None):
            raise CellError(f"state: {name} has shape {list(shape)} where [batch, {width}] is needed")
        if batch is not None and shape[0] not in (batch, None):
            raise CellError(f"state: {name} is for a batch of {shape[0]}, the inputs are a batch of {batch}")
        if dtype_name(leaf.dtype) != needed:
            raise CellError(f"state: {name} is {dtype_name(leaf.dtype)} where {needed} is needed")


def _describe(state: Any) -> str:
    if isinstance(state, (tuple, list)):
        return f"({', '.join(_describe(part) for part in state)})"
    return f"a tensor {list(state.shape)}" if hasattr(state, "shape") else type(state).__name__
