"""Refusals in the same words for both frameworks: what a cell cannot be built from or called with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from impls.contract import ACTIVATIONS, CELLS, ENGINES, GATES, INITIAL_STATES, CellSpec
from impls.errors import CellError, nearest


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """The value, or `CellError` with the nearest right one."""
    if not isinstance(value, str) or value not in choices:
        raise CellError(f"{name}={value!r} is not one of {', '.join(choices)}{nearest(str(value), choices)}")
    return value


def _check_whole(name: str, value: Any) -> int:
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = 0
    if isinstance(value, bool) or whole != value or whole < 1:
        raise CellError(f"{name} must be a whole number of at least 1, got {value!r}")
    return whole


def check_units(units: Any, *, stacked: bool | None) -> tuple[int, ...]:
    """`units` as a tuple. `stacked` True wants a sequence, False one layer, None takes either."""
    several = isinstance(units, (tuple, list))
    if stacked is False and several and len(units) != 1:
        raise CellError(f"units={units!r}: a single cell has one layer; use the Multi… cell for a stack")
    if stacked is True and not several:
        raise CellError(f"units={units!r}: a stack needs a sequence with one entry a layer, such as (16, 24)")
    listed = tuple(units) if several else (units,)
    if not listed:
        raise CellError("units is empty: give at least one layer")
    return tuple(_check_whole("units", entry) for entry in listed)


def cell_spec(
    *,
    cell: str,
    input_size: int,
    units: Any,
    stacked: bool | None = None,
    activation: Any = "tanh",
    forget_bias: float = 1.0,
    layer_norm: bool = False,
    update_bias: float = 1.0,
    initial_state: str = "learned",
    gate: str = "round",
    gate_layer: int = -1,
) -> CellSpec:
    """A validated `CellSpec` from a constructor's arguments.

    `activation` may be a function of a framework that bears one of the known names (`tf.tanh`, `torch.tanh`).
    Raises `CellError` for anything that a cell cannot be built from.
    """
    check_choice("cell", cell, CELLS)
    layers = check_units(units, stacked=stacked)
    if callable(activation):
        activation = getattr(activation, "__name__", repr(activation))
    for name, value in (("forget_bias", forget_bias), ("update_bias", update_bias)):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
            raise CellError(f"{name} must be a number, got {value!r}")
    if not isinstance(gate_layer, int) or not -len(layers) <= gate_layer < len(layers):
        raise CellError(f"gate_layer={gate_layer!r}: the stack has layers 0 to {len(layers) - 1} (or -1, the top)")
    return CellSpec(
        cell=cell,
        input_size=_check_whole("input_size", input_size),
        units=layers,
        activation=check_choice("activation", activation, ACTIVATIONS),
        forget_bias=float(forget_bias),
        layer_norm=bool(layer_norm),
        update_bias=float(update_bias),
        initial_state=check_choice("initial_state", initial_state, INITIAL_STATES),
        gate=check_choice("gate", gate, GATES),
        gate_layer=gate_layer,
    )


def check_engine(engine: object) -> str:
    """The engine's name, or `CellError`."""
    return check_choice("engine", engine, ENGINES)


def check_inputs(spec: CellSpec, shape: Sequence[int | None], *, floating: bool, dtype: str, time: bool) -> None:
    """Raises `CellError` unless inputs are floating and `[batch, time, features]` (or `[batch, features]`).

    Sizes unknown while a graph is traced (None) are let through.
    """
    wanted = f"[batch, {'time, ' if time else ''}{spec.input_size}]"
    if not floating:
        raise CellError(f"inputs must be floating point, got {dtype}")
    if len(shape) != 2 + time:
        raise CellError(f"inputs have shape {list(shape)} where {wanted} is needed")
    if shape[-1] is not None and shape[-1] != spec.input_size:
        raise CellError(f"inputs have {shape[-1]} features where the cell was built for {spec.input_size}")
    if time and shape[1] == 0:
        raise CellError("inputs have no time steps (T = 0)")


def check_draws(
    spec: CellSpec,
    shape: Sequence[int | None],
    *,
    updates: Sequence[int | None] | None,
    gate_noise: Sequence[int | None] | None,
) -> None:
    """Raises `CellError` unless the random draws given are those that the cell reads, and of its shape.

    Args:
        spec: the cell.
        shape: `[batch, time]` for a layer, `[batch, 1]` for a cell.
        updates: shape of the random skip's gate, for plain cells alone.
        gate_noise: shape of the uniform noise, for Bernoulli gates alone.
    """
    bernoulli = spec.skips and spec.gate == "bernoulli"
    if updates is not None and spec.skips:
        raise CellError("updates is the random skip's gate, for plain cells; a skip cell decides for itself")
    if gate_noise is not None and not bernoulli:
        raise CellError("gate_noise is read only by a skip cell with gate='bernoulli'")
    if gate_noise is None and bernoulli:
        raise CellError("a cell with gate='bernoulli' needs gate_noise, uniform on [0, 1)")
    for name, given in (("updates", updates), ("gate_noise", gate_noise)):
        if given is not None and (
            len(given) != len(shape)
            or any(have != want for have, want in zip(given, shape) if have is not None and want is not None)
        ):
            raise CellError(f"{name} has shape {list(given)} where {list(shape)} is needed")
