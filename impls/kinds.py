"""The kinds of cell as values: what tells an LSTM from a GRU, in one place.

A kind is what a plain cell and its skip variant share: gates, matrices, state. Everything else asks the kind:
parameters, states, counts of work, engines. Its equations stand in `reference.py` (NumPy) and, by the kind's name, in
`equations.py` and `adjoints.py` of each framework. `docs/adding-a-cell.md` adds a third one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

Tensor = Any
SKIP_PREFIX = "skip_"


class LSTMState(NamedTuple):
    """Cell state and output of one LSTM layer, each `[batch, units]`."""

    c: Tensor
    h: Tensor


class SkipLSTMState(NamedTuple):
    """State of a skip LSTM: c, h `[batch, units]`; update_prob (Δũ), cum_update_prob (stored ũ) `[batch, 1]`."""

    c: Tensor
    h: Tensor
    update_prob: Tensor
    cum_update_prob: Tensor


class SkipGRUState(NamedTuple):
    """State of a skip GRU: h `[batch, units]`; update_prob (Δũ), cum_update_prob (stored ũ) `[batch, 1]`."""

    h: Tensor
    update_prob: Tensor
    cum_update_prob: Tensor


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One concatenated matrix of a layer, over what the layer reads and `[units]` more, and its biases.

    `gates` are those along its columns, in order; `prefix` stands before `weights` and `biases` in the parameters'
    names. `initial_bias` is what the biases start from.
    """

    gates: tuple[str, ...]
    prefix: str = ""
    initial_bias: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of cell.

    Attributes:
        name: such as `lstm`; the skip variant is `skip_lstm`.
        matrices: the first acts on `[x, h]` and is the one that layer norm normalises, gate by gate; one that follows
            acts on x and on something that the gates before it make of h.
        state: names of a layer's state. The first feeds the skip gate, the last is what the layer above reads.
        structure: the public state of one layer from its leaves; a bare tensor where there is one leaf.
        skip_structure: the same of the layer that carries the skip gate's two scalars.
        options: constructor arguments that other kinds do not have.
        has_kernels: whether the fast engines know the kind: it has an adjoint in both frameworks' `adjoints.py`, and a
            pass in PyTorch's kernels.
    """

    name: str
    matrices: tuple[Matrix, ...]
    state: tuple[str, ...]
    structure: Callable[..., Any]
    skip_structure: Callable[..., Any]
    options: tuple[str, ...] = ()
    has_kernels: bool = False

    @property
    def normalised(self) -> tuple[str, ...]:
        """The gates that do not wait for others, which layer norm acts on."""
        return self.matrices[0].gates

    @property
    def gates(self) -> tuple[str, ...]:
        """All gates, in the order of the matrices."""
        return tuple(gate for matrix in self.matrices for gate in matrix.gates)


def _bare(h: Tensor) -> Tensor:
    return h


LSTM = Kind(
    name="lstm",
    matrices=(Matrix(gates=("i", "j", "f", "o")),),  # input, new input, forget, output
    state=("c", "h"),
    structure=LSTMState,
    skip_structure=SkipLSTMState,
    options=("forget_bias",),
    has_kernels=True,
)
GRU = Kind(
    name="gru",
    matrices=(
        Matrix(gates=("r", "z"), prefix="gate_", initial_bias=1.0),  # reset, update
        Matrix(gates=("candidate",), prefix="candidate_"),  # over [x, r * h]
    ),
    state=("h",),
    structure=_bare,
    skip_structure=SkipGRUState,
    has_kernels=True,
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (LSTM, GRU)}


def plain_cells() -> tuple[str, ...]:
    """The names of all cells without a skip gate."""
    return tuple(KINDS)


def skip_cells() -> tuple[str, ...]:
    """The names of all cells with one."""
    return tuple(f"{SKIP_PREFIX}{name}" for name in KINDS)


def cells() -> tuple[str, ...]:
    """The names of all cells, plain ones first."""
    return plain_cells() + skip_cells()
