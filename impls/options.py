"""The options of cells and layers: type, default and description of each, told once.

A set of options is a `TypedDict`, which the type checker reads where a class takes `**options: Unpack[…]`. `Described`
makes the class's signature and docstring from the same lines, and refuses what is not among them. Here stand the
options that both frameworks share; the sets that the public classes take stand in `options.py` of each framework.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Required, TypedDict, get_args, get_origin, get_type_hints

from impls.contract import DEFAULT_ENGINE, CellSpec
from impls.errors import CellError, nearest
from impls.kinds import KINDS, SKIP_PREFIX

REFUSAL = "Raises `CellError` for anything that it cannot be built from."


@dataclass(frozen=True)
class Option:
    """What an option's type does not tell: what it does, and its default; without one it must be given."""

    text: str
    default: Any = inspect.Parameter.empty


OneLayer = Annotated[int, Option("units of the layer.")]
OneLayerOrMore = Annotated[
    int | Sequence[int],
    Option(
        "units of one layer (a number), or of each layer of a stack from the bottom up (a sequence); the state's "
        "structure follows: that of the single cell, or of the `Multi…` cell."
    ),
]
Stack = Annotated[int | Sequence[int], Option("units of each layer from the bottom up; a number is a stack of one.")]
# Options are told in the order of a cell's description, and then the others in that of their sets.
_ORDER = {field.name: number for number, field in enumerate(fields(CellSpec))}


class CellOptions(TypedDict, total=False):
    """Of every cell and layer."""

    activation: Annotated[
        str | Callable[[Any], Any],
        Option("`tanh`, `relu`, `sigmoid` or `identity`, or a framework's function of one of these names.", "tanh"),
    ]
    layer_norm: Annotated[bool, Option("normalise each gate's pre-activation on its own.", False)]
    initial_state: Annotated[
        str, Option("`learned`, one row a layer shared by the batch, drawn from N(0, 1), or `zeros`.", "learned")
    ]


class ForgetBias(TypedDict, total=False):
    """Of the kinds with a forget gate."""

    forget_bias: Annotated[float, Option("added to the forget gate inside the sigmoid.", 1.0)]


class SkipGate(TypedDict, total=False):
    """Of the cells that learn to skip."""

    update_bias: Annotated[
        float, Option("initial bias of the skip gate; 1 starts with nearly all updates, -1 with few.", 1.0)
    ]
    gate: Annotated[
        str, Option("`round` (eq. 2) or `bernoulli`, which compares with noise: `gate_noise`, or a draw.", "round")
    ]


class StackGate(SkipGate, total=False):
    """Of the stacks that learn to skip."""

    gate_layer: Annotated[int, Option("the layer whose candidate state feeds the gate; -1 is the top.", -1)]


class TimeLoop(TypedDict, total=False):
    """Of every layer."""

    engine: Annotated[
        str, Option("how the time loop runs, `fast` or `reference`; the results are the same.", DEFAULT_ENGINE)
    ]


class Described:
    """A class of cell or layer, with its options.

    `class SkipLSTM(Layer, cell="skip_lstm")` names the cell, and by the annotation of its constructor's `**options`
    their set. Signature and docstring are made of that. `TypeError` where they are not those of the kind of cell.
    """

    _cell: ClassVar[str]
    _options: ClassVar[Mapping[str, Option]]

    def __init_subclass__(cls, *, cell: str = "", **others: Any) -> None:
        super().__init_subclass__(**others)
        if cell:  # and not a class that a user derives from a public one
            cls._cell, cls._options = cell, _tell(cls, cell=cell)

    def _complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, given or by default; `CellError` for one that the class has not, or lacks."""
        for name in given:
            if name not in self._options:
                raise CellError(f"{type(self).__name__} has no option {name!r}{nearest(name, self._options)}")
        for name, option in self._options.items():
            if name not in given and option.default is inspect.Parameter.empty:
                raise CellError(f"{type(self).__name__} needs {name}: {option.text.rstrip('.')}")
        return {name: given.get(name, option.default) for name, option in self._options.items()}


def _tell(described: type, *, cell: str) -> dict[str, Option]:
    """Gives a class the signature and the docstring that its options make; returns these by name."""
    constructor: Any = described.__dict__["__init__"]
    hints = get_type_hints(constructor, include_extras=True)
    given = get_type_hints(get_args(hints["options"])[0], include_extras=True)
    told = {name: given[name] for name in sorted(given, key=lambda name: _ORDER.get(name, len(_ORDER)))}
    told = {name: get_args(hint)[0] if get_origin(hint) is Required else hint for name, hint in told.items()}
    options: dict[str, Option] = {name: get_args(hint)[1] for name, hint in told.items()}
    _check_kind(described, options, cell=cell)
    own, units, _ = inspect.signature(constructor).parameters.values()
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=get_args(hint)[0])
        for (name, option), hint in zip(options.items(), told.values(), strict=True)
    ]
    of_units, units_option = get_args(hints["units"])
    constructor.__signature__ = inspect.Signature([own, units.replace(annotation=of_units), *parameters])
    texts = [f"{name}: {option.text}" for name, option in {"units": units_option, **options}.items()]
    wrapped = (textwrap.fill(text, 112, initial_indent=" " * 4, subsequent_indent=" " * 8) for text in texts)
    described.__doc__ = "\n".join([inspect.cleandoc(described.__doc__ or ""), "", "Args:", *wrapped, "", REFUSAL])
    return options


def _check_kind(described: type, names: Mapping[str, Option], *, cell: str) -> None:
    wanted = set(KINDS[cell.removeprefix(SKIP_PREFIX)].options)
    own = wanted.union(*(kind.options for kind in KINDS.values()), StackGate.__annotations__)
    if cell.startswith(SKIP_PREFIX):
        wanted |= set(SkipGate.__annotations__)
    different = (wanted ^ (own & set(names))) - ({"gate_layer"} if cell.startswith(SKIP_PREFIX) else set())
    if different:
        raise TypeError(f"{described.__name__}: {', '.join(sorted(different))}: not as kinds.py has it for {cell}")
