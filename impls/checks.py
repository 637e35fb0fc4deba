"""Refusals in the same words for both frameworks: what a cell cannot be built from or called with."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from impls.contract import (
    ACTIVATIONS,
    BUDGETS,
    ENGINES,
    GATES,
    INITIAL_STATES,
    LOSSES,
    NATIVE_KINDS,
    PRECISIONS,
    READOUTS,
    Array,
    Batch,
    CellSpec,
    ModelSpec,
)
from impls.errors import CellError, nearest
from impls.kinds import cells

TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
# Frameworks have narrower ones too, in which they multiply nothing.
CELL_DTYPES = ("float16", "bfloat16", "float32", "float64")
# Learners train in no half type: Adam's ε is 0 in float16, and NumPy, which exports, lacks bfloat16.
TRAINED_DTYPES = ("float32", "float64")


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """The value, or `CellError` with the nearest right one."""
    if not isinstance(value, str) or value not in choices:
        raise CellError(f"{name}={value!r} is not one of {', '.join(choices)}{nearest(str(value), choices)}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_whole(name: str, value: Any) -> int:
    if not _is_whole(value) or value < 1:
        raise CellError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def _check_number(name: str, value: Any) -> float:
    try:
        number = float(value) if _is_whole(value) or isinstance(value, (float, np.floating)) else math.nan
    except OverflowError:
        raise CellError(f"{name} is a whole number too large for floating point") from None
    if math.isnan(number):
        raise CellError(f"{name} must be a number, got {value!r}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """The value as a bool, or `CellError`: a text such as "False" is true to Python."""
    if not isinstance(value, (bool, np.bool_)):
        raise CellError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_units(units: Any, *, stacked: bool | None) -> tuple[int, ...]:
    """`units` as a tuple; a single cell (`stacked` False) has one layer. A number is a stack of one layer."""
    several = isinstance(units, (tuple, list))
    if stacked is False and several and len(units) != 1:
        raise CellError(f"units={units!r}: a single cell has one layer; use the Multi… cell for a stack")
    listed = tuple(units) if several else (units,)
    if not listed:
        raise CellError("units is empty: give at least one layer")
    return tuple(_check_whole("units", entry) for entry in listed)


def activation_name(activation: Any) -> Any:
    """The name of a function of NumPy or of a framework, such as `tf.tanh`; anything else as it is.

    A caller's own function may bear a known name and compute something else, so it is not taken by its name.
    """
    package = (getattr(activation, "__module__", None) or "torch").partition(".")[0]  # torch.tanh has no module
    known = callable(activation) and package in ("torch", "tensorflow", "keras", "numpy")
    return getattr(activation, "__name__", activation) if known else activation


def cell_spec(
    *,
    cell: str,
    input_size: Any,
    units: Any,
    stacked: bool | None = None,
    activation: Any = "tanh",
    forget_bias: Any = 1.0,
    layer_norm: Any = False,
    update_bias: Any = 1.0,
    initial_state: Any = "learned",
    gate: Any = "round",
    gate_layer: Any = -1,
    sized: bool = True,
) -> CellSpec:
    """A validated `CellSpec` from a constructor's arguments.

    `activation` may be a function of a framework that bears one of the known names (`tf.tanh`, `torch.tanh`). An
    `input_size` of None is 0 in the spec, not known yet, unless the cell must be `sized`.
    Raises `CellError` for anything that a cell cannot be built from.
    """
    check_choice("cell", cell, cells())
    layers = check_units(units, stacked=stacked)
    if not _is_whole(gate_layer) or not -len(layers) <= gate_layer < len(layers):
        raise CellError(f"gate_layer={gate_layer!r}: the stack has layers 0 to {len(layers) - 1} (or -1, the top)")
    return CellSpec(
        cell=cell,
        input_size=0 if input_size is None and not sized else _check_whole("input_size", input_size),
        units=layers,
        activation=check_choice("activation", activation_name(activation), ACTIVATIONS),
        forget_bias=_check_number("forget_bias", forget_bias),
        layer_norm=check_flag("layer_norm", layer_norm),
        update_bias=_check_number("update_bias", update_bias),
        initial_state=check_choice("initial_state", initial_state, INITIAL_STATES),
        gate=check_choice("gate", gate, GATES),
        gate_layer=int(gate_layer),
    )


def check_seed(seed: Any) -> int:
    """The seed, or `CellError` unless it is a whole number from 0 to 2⁶⁴ − 1."""
    if not _is_whole(seed) or not 0 <= seed < 2**64:
        raise CellError(f"seed must be a whole number from 0 to 2**64 - 1, or None, got {seed!r}")
    return int(seed)


def check_engine(engine: object) -> str:
    """The engine's name, or `CellError`."""
    return check_choice("engine", engine, ENGINES)


def check_kernels(spec: CellSpec, *, engine: str) -> None:
    """Raises `CellError` where the engine is the fast one and has nothing to run this kind of cell by."""
    if engine == "fast" and not spec.kind.has_kernels:
        raise CellError(f"engine='fast' has no kernels for cell {spec.cell!r}; use engine='reference'")


def check_native(spec: CellSpec, *, framework: str, skips_given: bool = False) -> None:
    """Raises `CellError` for a cell that the framework's own layer does not compute.

    Args:
        spec: the cell.
        framework: whose layer.
        skips_given: whether steps are to be skipped at random or periodically.
    """
    refusals = {
        f"cell {spec.cell!r}: a framework's own layer does not skip": spec.skips,
        "random or periodic skips: a framework's own layer updates at every step": skips_given,
        "layer_norm": spec.layer_norm,
        f"activation {spec.activation!r}: it is tanh": spec.activation != "tanh",
        "precision 'bfloat16': the layer would round its state too": spec.precision == "bfloat16",
        f"cell {spec.cell!r} in PyTorch: torch.nn.GRU resets after the product, which are other equations": (
            framework == "pytorch" and spec.kind.name == "gru"
        ),
        f"cell {spec.cell!r} in {framework}": spec.kind.name not in NATIVE_KINDS[framework],
    }
    for what, refused in refusals.items():
        if refused:
            raise CellError(f"engine='native' has no {what}; use engine='fast' or 'reference'")


def check_precision(precision: object, *, device: str) -> None:
    """Raises `CellError` for a precision that there is not, not on this device, or not with NVIDIA's override of it."""
    check_choice("precision", precision, PRECISIONS)
    if precision == "tf32" and device == "cpu":
        raise CellError("precision='tf32' with device='cpu': only a GPU multiplies so; use device='cuda' or 'float32'")
    override = os.environ.get(TF32_OVERRIDE)
    # Operands rounded to bfloat16 are exact either way.
    if device == "cuda" and override and precision == ("tf32" if override == "0" else "float32"):
        raise CellError(
            f"precision={precision!r} with {TF32_OVERRIDE}={override}: NVIDIA's libraries follow that variable, "
            "whatever a program asks; unset it"
        )


def dtype_name(dtype: Any) -> str:
    """A dtype's bare name, such as `float32`, whichever framework's it is."""
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def known_sizes(shape: Any) -> tuple[int | None, ...]:
    """A shape's sizes, None where a graph does not know one; `CellError` where it does not know how many."""
    if getattr(shape, "rank", 0) is None:
        raise CellError("a tensor's rank is unknown: set its shape first")
    return tuple(size if isinstance(size, int) else getattr(size, "value", size) for size in shape)  # or a Dimension


def known_features(shape: Any, *, time: bool) -> int:
    """The features of the first inputs that a cell without an `input_size` sees, or `CellError`."""
    shape = known_sizes(shape)
    if len(shape) != 2 + time or shape[-1] is None:
        wanted = f"[batch, {'time, ' if time else ''}features]"
        raise CellError(f"inputs have shape {list(shape)} where {wanted}, the last one known, is needed")
    return _check_whole("the number of features", shape[-1])


def check_inputs(spec: CellSpec, shape: Sequence[int | None], *, dtype: str, parameters_dtype: str, time: bool) -> None:
    """Raises `CellError` unless inputs are `[batch, time, features]`, of the parameters' floating dtype.

    Without `time`, `[batch, features]`. Sizes unknown while a graph is traced (None) are let through.
    """
    wanted = f"[batch, {'time, ' if time else ''}{spec.input_size}]"
    if "float" not in dtype:
        raise CellError(f"inputs must be floating point, got {dtype}")
    if len(shape) != 2 + time:
        raise CellError(f"inputs have shape {list(shape)} where {wanted} is needed")
    if shape[-1] is not None and shape[-1] != spec.input_size:
        raise CellError(f"inputs have {shape[-1]} features where the cell was built for {spec.input_size}")
    if time and shape[1] == 0:
        raise CellError("inputs have no time steps (T = 0)")
    if dtype != parameters_dtype:
        raise CellError(f"inputs are {dtype} where the parameters are {parameters_dtype}: convert one of them")


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
    if updates is not None and spec.skips:
        raise CellError("updates is the random skip's gate, for plain cells; a skip cell decides for itself")
    if gate_noise is not None and not draws_noise(spec):
        raise CellError("gate_noise is read only by a skip cell with gate='bernoulli'")
    for name, given in (("updates", updates), ("gate_noise", gate_noise)):
        if given is not None and not _fits(given, shape):
            raise CellError(f"{name} has shape {list(given)} where {list(shape)} is needed")


def draws_noise(spec: CellSpec) -> bool:
    """Whether the cell's gate is random, so that it reads noise."""
    return spec.skips and spec.gate == "bernoulli"


def check_lengths(shape: Sequence[int | None], *, dtype: str, batch: int | None) -> None:
    """Raises `CellError` unless lengths are whole numbers, `[batch]`."""
    if "int" not in dtype:
        raise CellError(f"lengths must be whole numbers, got {dtype}")
    if not _fits(shape, [batch]):
        raise CellError(f"lengths has shape {list(shape)} where {[batch]} is needed")


def check_mask(shape: Sequence[int | None], *, inputs: Sequence[int | None]) -> None:
    """Raises `CellError` unless a mask has a value for each step."""
    if not _fits(shape, inputs[:2]):
        raise CellError(f"mask has shape {list(shape)} where {list(inputs[:2])} is needed")


def wrong_dtype(dtype: object) -> str:
    """What is said of a type of parameters that cells do not compute in."""
    return f"dtype={dtype!r} is not one of {', '.join(CELL_DTYPES)}"


def wrong_lengths(time: object) -> str:
    """What is said of lengths that no sequence of this many steps has."""
    return f"lengths has values outside of 0 to {time}"


def unbuilt(name: str) -> str:
    """What is said of parameters that are asked for before they are there."""
    return f"{name} has no parameters yet, since it does not know its input_size: give it, or call it once"


def check_model(spec: ModelSpec) -> None:
    """Raises `CellError` for a loss, a readout or a budget that there is not, or a loss that this readout has not.

    So it does for a cell that nothing is built from: a misspelt gate would be another gate.
    """
    said = {name: value for name, value in vars(spec.cell).items() if name != "precision"}
    cell_spec(**said)
    check_choice("precision", spec.cell.precision, PRECISIONS)
    check_choice("loss", spec.loss, LOSSES)
    check_choice("readout", spec.readout, READOUTS)
    check_choice("budget", spec.budget, BUDGETS)
    if spec.loss == "cross_entropy" and spec.readout == "every":
        raise CellError("loss='cross_entropy' with readout='every': a class is of a whole sequence; use readout='last'")


def check_trained(spec: ModelSpec) -> None:
    """Raises `CellError` for a type in which a model computes and no learner trains."""
    check_choice("dtype", spec.dtype, TRAINED_DTYPES)


def check_batch(spec: ModelSpec, batch: Batch) -> dict[str, Array]:
    """The batch's arrays by field name, as a learner reads them, or `CellError` where they are no batch of this model.

    Any whole numbers may be tokens and classes; whole numbers and truths may be whatever is computed with. Left to the
    frameworks, each takes other types. Nor does anybody else look at shapes and values: PyTorch's kernels read past the
    end of inputs of other features and of draws of other steps, either framework broadcasts targets of another shape,
    PyTorch cuts a class to a whole number, in compiled programs XLA takes the nearest token there is, and makes NaN of
    a class, and a mask's ones are counted, wherever they stand.

    Returns:
        Contiguous arrays in the machine's byte order: tokens and classes int32, all else float32 or float64.
    """
    _check_shapes(spec, batch)
    whole = {"inputs": ("tokens", spec.vocabulary_size)} if spec.vocabulary_size else {}
    if spec.loss == "cross_entropy":
        whole["targets"] = ("classes", spec.output_size)
    arrays = {}
    for name, array in batch.arrays().items():
        if name in whole:
            of, below = whole[name]
            arrays[name] = _as_whole_numbers(name, array, below=below, of=of)
        else:
            arrays[name] = _as_floats(name, array, dtype="float64" if spec.dtype == "float64" else "float32")
    for name, words in (("updates", WRONG_UPDATES), ("mask", WRONG_FLAGS)):
        if name in arrays and not ((arrays[name] == 0) | (arrays[name] == 1)).all():
            raise CellError(words)
    if "mask" in arrays and (arrays["mask"][:, 1:] > arrays["mask"][:, :-1]).any():
        raise CellError(WRONG_MASK)
    return arrays


def _check_shapes(spec: ModelSpec, batch: Batch) -> None:
    shape = batch.inputs.shape
    if spec.vocabulary_size:
        if len(shape) != 2:
            raise CellError(f"inputs have shape {list(shape)} where [batch, time], of tokens, is needed")
        shape = (*shape, spec.cell.input_size)  # that of their vectors
    check_inputs(spec.cell, shape, dtype=spec.dtype, parameters_dtype=spec.dtype, time=True)
    wanted = _shape_of_targets(spec, batch)
    if batch.targets.shape != wanted:
        raise CellError(
            f"targets have shape {list(batch.targets.shape)} where {list(wanted)} is needed "
            f"(loss={spec.loss!r}, readout={spec.readout!r}, {spec.output_size} outputs)"
        )
    given = {name: array.shape for name, array in batch.arrays().items()}
    check_draws(spec.cell, shape[:2], updates=given.get("updates"), gate_noise=given.get("gate_noise"))
    if draws_noise(spec.cell) and "gate_noise" not in given:
        raise CellError("gate='bernoulli' of a learner reads gate_noise, which the batch has not")
    of_dropout = (batch.size, spec.cell.units[-1])
    if given.get("dropout", of_dropout) != of_dropout:
        raise CellError(f"dropout has shape {list(given['dropout'])} where {list(of_dropout)} is needed")
    if "mask" in given:
        check_mask(given["mask"], inputs=shape)


def _shape_of_targets(spec: ModelSpec, batch: Batch) -> tuple[int, ...]:
    """As `Batch` says."""
    if spec.loss == "cross_entropy":
        return (batch.size,)
    steps = batch.inputs.shape[1:2] if spec.readout == "every" else ()
    return (batch.size, *steps, spec.output_size)


def _as_whole_numbers(name: str, values: Array, *, below: int, of: str) -> Array:
    if values.dtype.kind not in "iu":
        raise CellError(f"{name} are {values.dtype} where whole numbers, the {of}, are needed")
    if values.size and not (values.min() >= 0 and values.max() < below):
        raise CellError(f"{name} has values from {values.min()} to {values.max()} where there are {below} {of}, from 0")
    return np.ascontiguousarray(values, dtype=np.int32)


def _as_floats(name: str, values: Array, *, dtype: str) -> Array:
    """Floats that both frameworks take stay what they are: to round them is the learner's."""
    if values.dtype.kind not in "fiub":
        raise CellError(f"{name} has type {values.dtype} where numbers are needed")
    return np.ascontiguousarray(values, dtype=values.dtype if values.dtype in (np.float32, np.float64) else dtype)


GRADIENT_OF_UPDATES = "updates: a random skip's gate is data and has no gradient; cut it off before the call"
WRONG_UPDATES = "updates has values other than 0 and 1"
WRONG_FLAGS = "mask has values other than 0 and 1"
WRONG_MASK = "mask has a masked step before one that is not: pad sequences at the end"


def _fits(given: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether two shapes agree wherever both are known."""
    return len(given) == len(wanted) and all(
        have == want or have is None or want is None for have, want in zip(given, wanted, strict=True)
    )
